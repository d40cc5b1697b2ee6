// What plain widgets cannot say by themselves: what they are called, and that no kernel answers any more.

function render({ model, el, signal }) {
  el.style.display = "none";
  const begin = () => {
    const node = el.closest(".nbs-replay");
    const handle = node?.querySelector("[role=slider]");
    if (!handle) return false;
    quiet(node);
    node.setAttribute("role", "group");
    node.setAttribute("aria-label", "Replay of a run");
    handle.setAttribute("aria-label", "Event of the run");
    node.querySelector(".nbs-label").setAttribute("aria-live", "polite");
    const names = ["Play or pause", "Back to the start", "Repeat"];
    node.querySelectorAll(".widget-play button").forEach((button, at) => {
      button.setAttribute("aria-label", names[at]);
      button.title = names[at];
    });
    alive(model, node, signal);
    return true;
  };
  // The view is put into its place a moment after it is made.
  if (!begin()) {
    const timer = setInterval(() => begin() && clearInterval(timer), 50);
    signal?.addEventListener("abort", () => clearInterval(timer));
  }
}

export default { render };
