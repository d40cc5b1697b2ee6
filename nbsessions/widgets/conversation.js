// A conversation: each page comes from Python as HTML that cannot do anything, and is held to that here.

const TAGS = new Set((
  "a b blockquote br code del details div em h1 h2 h3 h4 h5 h6 hr i li ol p pre s span strong summary table tbody td "
  + "th thead tr ul"
).split(" "));

// Only what our renderer makes: a tag or attribute beside that is shown as text or left out.
function inert(html) {
  const copy = (node) => {
    if (node.nodeType === Node.TEXT_NODE) return node.data;
    const tag = node.nodeName.toLowerCase();
    if (!TAGS.has(tag)) return node.outerHTML ?? "";
    const made = document.createElement(tag);
    const style = node.getAttribute("style");
    if (style && !/url|image|expression|import|\\/i.test(style)) made.setAttribute("style", style);
    for (const name of ["colspan", "start"]) {
      if (/^\d+$/.test(node.getAttribute(name) ?? "")) made.setAttribute(name, node.getAttribute(name));
    }
    if (tag === "a" && /^(https?:\/\/|mailto:)/i.test(node.getAttribute("href") ?? "")) {
      made.href = node.getAttribute("href");
      made.target = "_blank";
      made.rel = "noopener noreferrer";
    }
    made.append(...[...node.childNodes].map(copy));
    return made;
  };
  return [...new DOMParser().parseFromString(html, "text/html").body.childNodes].map(copy);
}

function render({ model, el, signal }) {
  const title = make("strong");
  const count = make("span", { class: "nbs-muted" });
  const back = button("Back to where the session is", () => send({ do: "back" }));
  const left = make("span", { class: "nbs-picked" }, "This line was left. ", back);
  const earlier = button("Earlier turns", () => send({ do: "earlier" }));
  const later = button("Later turns", () => send({ do: "later" }));
  const turns = make("div");
  const scroll = make(
    "div", { class: "nbs-turns", tabindex: 0, role: "log", "aria-label": "Conversation" },
    make("div", { class: "nbs-bar" }, earlier), turns, make("div", { class: "nbs-bar" }, later),
  );
  const status = statusLine(model, (content) => send(content));
  const node = root(el, "Conversation", make("div", { class: "nbs-bar" }, title, count, left), scroll, status.node);
  const asked = alive(model, node, signal);
  const send = (content) => {
    asked();
    model.send(content);
  };
  let drawn = new Map(); // what is shown of each turn: what did not change stays, unfolded where it was

  function ways(turn) {
    const at = turn.ways.indexOf(turn.id);
    const go = (to, text, label) => button(
      text, () => send({ do: "way", turn: turn.ways[to] }), { "aria-label": label, disabled: !(to in turn.ways) },
    );
    const place = `${at + 1} of ${turn.ways.length}`;
    return make(
      "span", { class: "nbs-ways", role: "group", "aria-label": `Way ${place}` },
      go(at - 1, "‹", "Previous way"), place, go(at + 1, "›", "Next way"),
    );
  }

  async function copy(turn, to) {
    try {
      await navigator.clipboard.writeText(turn.said);
      to.textContent = "Copied";
    } catch {
      to.textContent = "The browser does not let this page copy";
    }
    setTimeout(() => (to.textContent = "Copy"), 2000);
  }

  function draw(turn, isEnd) {
    const copies = button("Copy", () => copy(turn, copies), { title: "Copy the answer" });
    const here = `here, after message ${turn.last}`;
    const rewind = button("Rewind here", () => send({ do: "rewind", turn: turn.id }), {
      "aria-label": `Rewind ${here}`, title: "Keep all up to here; it can be undone",
    });
    return make(
      "div", { class: "nbs-turn", role: "article" },
      ...(turn.wrong ? [make("div", { class: "nbs-error" }, turn.wrong)] : inert(turn.html)),
      make(
        "div", { class: "nbs-bar nbs-acts" },
        make("span", { class: "nbs-muted" }, turn.took),
        turn.ways.length ? ways(turn) : null,
        make("span", { class: "nbs-picked" }, copies, button("Fork here", () => send({ do: "fork", turn: turn.id }), {
          "aria-label": `Fork ${here}`, title: "Go on from here in a new session",
        }), isEnd ? null : rewind),
      ),
    );
  }

  function drawPage() {
    const page = model.get("_page");
    const atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 40;
    title.textContent = page.title;
    count.textContent = `· ${page.count}`;
    left.hidden = !page.left;
    earlier.hidden = !page.earlier;
    later.hidden = !page.later;
    const now = new Map();
    for (const turn of page.turns) {
      const isEnd = !page.left && turn.id === page.end;
      const key = JSON.stringify([turn, isEnd]);
      now.set(key, drawn.get(key) ?? draw(turn, isEnd));
    }
    const before = [...drawn.keys()][0];
    drawn = now;
    const note = page.waiting && !page.later ? [make("div", { class: "nbs-muted" }, page.waiting)] : [];
    const nothing = page.turns.length || page.waiting ? [] : [make("div", { class: "nbs-muted" }, "Nothing was said yet.")];
    const held = node.getRootNode().activeElement;
    turns.replaceChildren(...now.values(), ...note, ...nothing);
    if (turns.contains(held)) held.focus({ preventScroll: true });
    if (before === undefined || (atEnd && !page.later) || !now.has(before)) scroll.scrollTop = scroll.scrollHeight;
  }

  const listen = listener(model, signal);
  listen("_page", drawPage);
  listen("_status", status.draw);
  drawPage();
  status.draw();
  requestAnimationFrame(() => (scroll.scrollTop = scroll.scrollHeight));
}

export default { render };
