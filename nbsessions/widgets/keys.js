// What plain widgets cannot do by themselves: keys, and to say that no kernel answers any more.

function render({ model, el, signal }) {
  beside(el, signal, () => {
    const node = el.closest(".nbs-picker");
    const list = node?.querySelector(".nbs-list select");
    const line = node?.querySelector(".nbs-line");
    const search = node?.querySelector(".nbs-filters input[type=text]");
    const question = node?.querySelector(".nbs-question");
    const preview = node?.querySelector(".nbs-preview");
    if (![list, line, search, question, preview].every(Boolean)) return false;
    quiet(node);
    keepFocus(node);
    const name = (part, label, role) => {
      part.setAttribute("aria-label", label);
      if (role) part.setAttribute("role", role);
    };
    name(node, "Session picker", "group");
    name(list, "Sessions");
    name(search, "Search sessions");
    name(preview, "Preview", "region");
    preview.tabIndex = 0;
    const filters = ["Agent", "Tag", "Last activity"];
    node.querySelectorAll(".nbs-filters select").forEach((part, at) => name(part, filters[at]));
    line.setAttribute("role", "status");
    alive(model, node, signal);

    // With what the fields have now: what was typed last may still be on its way to the kernel.
    const send = (what) => {
      const text = question.querySelector("input")?.value;
      model.send({ do: what, search: search.value, at: list.selectedIndex, line: list.value, text });
    };
    // Text fields let no key out: it is heard on its way in.
    const keys = (event) => {
      const types = event.target.matches("input, textarea");
      if (event.key === "/" && !types) search.focus();
      else if (event.key === "ArrowDown" && event.target === search) list.focus();
      else if (event.key === "Enter" && types && question.contains(event.target)) send("agree");
      else if (event.key === "Enter" && [search, list].includes(event.target)) send("Resume");
      else if (event.key === "Escape") send("escape");
      else return;
      event.preventDefault();
      event.stopPropagation();
      if (event.key === "Escape") list.focus();
    };
    const clicks = (event) => {
      const button = event.target.closest("button");
      const agrees = button?.classList.contains("nbs-agree");
      if (!agrees && !button?.closest(".nbs-buttons")) return;
      event.stopPropagation();
      if (!button.disabled) send(agrees ? "agree" : button.textContent.replace("…", ""));
    };
    let asked = null;
    const asks = new MutationObserver(() => {
      const field = question.querySelector("input") ?? [...question.querySelectorAll("button")].at(-1) ?? null;
      if (field === asked || (field && !field.offsetParent)) return;
      asked = field;
      if (!field) return list.focus();
      const label = question.querySelector(".widget-html")?.textContent ?? "";
      name(question, label, "group");
      if (field.matches("input")) name(field, label);
      field.focus();
      field.select?.();
    });
    asks.observe(question, { attributeFilter: ["style"], childList: true, subtree: true });
    node.addEventListener("keydown", keys, true);
    node.addEventListener("click", clicks, true);
    signal?.addEventListener("abort", () => {
      asks.disconnect();
      node.removeEventListener("keydown", keys, true);
      node.removeEventListener("click", clicks, true);
    });
    return true;
  });
}

export default { render };
