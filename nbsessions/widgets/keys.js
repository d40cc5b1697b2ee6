// What plain widgets cannot do by themselves: keys, and to say that no kernel answers any more.

function render({ model, el, signal }) {
  el.style.display = "none";
  const begin = () => {
    const node = el.closest(".nbs-picker");
    if (!node) return false;
    const search = node.querySelector("input[type=text]");
    const list = node.querySelector("select[size], select[multiple]") ?? node.querySelector(".nbs-list select");
    node.classList.add("nbs");
    node.setAttribute("role", "group");
    node.setAttribute("aria-label", "Session picker");
    node.dataset.lmSuppressShortcuts = "true";
    list.setAttribute("aria-label", "Sessions");
    search.setAttribute("aria-label", "Search sessions");
    alive(model, node, signal);
    const listen = (event) => {
      const types = event.target.matches("input, textarea");
      const form = event.target.closest(".nbs-form");
      if (event.key === "/" && !types) search.focus();
      else if (event.key === "ArrowDown" && event.target === search) list.focus();
      else if (event.key === "Enter" && form && types) model.send({ do: "agree" });
      else if (event.key === "Enter" && [search, list].includes(event.target)) model.send({ do: "resume" });
      else if (event.key === "Escape") model.send({ do: "escape" });
      else return;
      event.preventDefault();
      if (event.key === "Escape") list.focus();
    };
    node.addEventListener("keydown", listen);
    signal?.addEventListener("abort", () => node.removeEventListener("keydown", listen));
    return true;
  };
  // The view is put into its place a moment after it is made.
  if (!begin()) {
    const timer = setInterval(() => begin() && clearInterval(timer), 50);
    signal?.addEventListener("abort", () => clearInterval(timer));
  }
}

export default { render };
