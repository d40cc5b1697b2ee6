// What plain widgets cannot say by themselves: what they are called, and that no kernel answers any more.

function render({ model, el, signal }) {
  beside(el, signal, () => {
    const node = el.closest(".nbs-replay");
    const handle = node?.querySelector("[role=slider]");
    if (!handle) return false;
    quiet(node);
    keepFocus(node);
    node.setAttribute("role", "group");
    node.setAttribute("aria-label", "Replay of a run");
    handle.setAttribute("aria-label", "Event of the run");
    node.querySelector(".nbs-label").setAttribute("aria-live", "polite");
    node.querySelector(".nbs-line").setAttribute("role", "status");
    const names = ["Play or pause", "Back to the start", "Repeat"];
    node.querySelectorAll(".widget-play button").forEach((button, at) => {
      button.setAttribute("aria-label", names[at]);
      button.title = names[at];
    });
    alive(model, node, signal);
    return true;
  });
}

export default { render };
