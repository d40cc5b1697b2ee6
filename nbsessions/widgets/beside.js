// Begins beside plain widgets, once the view is in its place: that is a moment after it is made.
const beside = (el, signal, begin) => {
  el.style.display = "none";
  if (begin()) return;
  const timer = setInterval(() => begin() && clearInterval(timer), 50);
  signal?.addEventListener("abort", () => clearInterval(timer));
};
