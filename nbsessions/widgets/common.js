// What the widgets share. Data becomes text nodes and attributes, never HTML.

const make = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
};

const button = (text, act, more = {}) => make("button", { type: "button", onclick: act, ...more }, text);

const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

const when = (iso) => {
  const at = new Date(iso);
  const two = (number) => String(number).padStart(2, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}`;
};

// JupyterLab's shortcuts (a, d d, arrows) do not act on the cell while one is in here. It looks at what has the
// focus first, and only then further up.
const quiet = (node) => {
  node.addEventListener("focusin", ({ target }) => (target.dataset.lmSuppressShortcuts = "true"));
};

// What has the focus may go away or be greyed out by what it did: then what is nearest to it has the focus.
const keepFocus = (node) => {
  let held = null;
  let around = [];
  const usable = (part) => part.isConnected && !part.disabled && part.getClientRects().length > 0;
  node.addEventListener("focusin", ({ target }) => {
    held = target;
    around = [];
    for (let part = target; part !== node; part = part.parentElement) around.push(part.parentElement);
  });
  // It is told before a part is taken away, too: a moment later one knows who did it.
  node.addEventListener("focusout", ({ target }) => setTimeout(() => {
    if (held === target && usable(target) && !target.matches(":focus")) held = null;
  }));
  new MutationObserver(() => {
    if (!held || usable(held)) return;
    for (const part of around.filter(usable)) {
      const near = part.tabIndex === 0 ? part : [...part.querySelectorAll("button, input, select, [tabindex='0']")].find(usable);
      if (near) return near.focus({ preventScroll: true });
    }
  }).observe(node, { attributeFilter: ["disabled", "hidden", "style", "class"], childList: true, subtree: true });
};

const root = (el, label, ...children) => {
  const node = make("div", { class: "nbs", role: "group", "aria-label": label }, ...children);
  quiet(node);
  keepFocus(node);
  el.replaceChildren(node);
  return node;
};

// Tells that no kernel answers: after a restart there is nobody whom a click could reach.
const alive = (model, node, signal) => {
  const banner = make("div", { class: "nbs-dead", role: "alert", hidden: true });
  node.prepend(banner);
  let timer = null;
  const tell = (text) => {
    banner.textContent = text;
    banner.hidden = !text;
    node.classList.toggle("nbs-is-dead", Boolean(text));
  };
  const gone = () => tell("This is a picture of before the kernel was restarted. Run the cell again.");
  const slow = () => tell("The kernel does not answer: it is busy, or was restarted. If so, run the cell again.");
  const answered = () => {
    clearTimeout(timer);
    tell("");
  };
  model.on("comm_live_update", gone);
  model.on("msg:custom", answered);
  signal?.addEventListener("abort", () => {
    clearTimeout(timer);
    model.off("comm_live_update", gone);
    model.off("msg:custom", answered);
  });
  // What was asked is heard, also where nothing changes by it.
  return () => {
    clearTimeout(timer);
    timer = setTimeout(slow, 4000);
  };
};

// The line below a widget: what was done, or what is wrong, and the way back.
const statusLine = (model, send) => {
  const node = make("div", { class: "nbs-status", role: "status", "aria-live": "polite" });
  const draw = () => {
    const { text, is_error: isError, undo } = model.get("_status");
    node.classList.toggle("nbs-error", Boolean(isError));
    node.replaceChildren(text ?? "");
    if (undo) node.append(" ", button("Undo", () => send({ do: "undo" })));
  };
  return { node, draw };
};

// Draws anew, and what has the focus keeps it.
const redraw = (node, ...children) => {
  const parts = () => [...node.querySelectorAll("button, input")];
  const at = parts().indexOf(node.getRootNode().activeElement);
  node.replaceChildren(...children);
  parts()[at]?.focus();
};

// Acts on changes of the model, as long as the view is there.
const listener = (model, signal) => (name, act) => {
  model.on(`change:${name}`, act);
  signal?.addEventListener("abort", () => model.off(`change:${name}`, act));
};
