// The table of sessions: each page comes from Python, and each wish goes there.

const cell = (column, value) => {
  if (value == null) return "";
  if (column.kind === "time") return when(value);
  return column.kind === "count" ? value.toLocaleString("en") : String(value);
};

function render({ model, el, signal }) {
  const keyOf = (key) => JSON.stringify(key);
  let anchor = null; // where a range of rows begins
  let focused = 0; // the row that Tab leads to
  let asks = false; // whether it asks if one means it

  const search = make("input", {
    type: "search", placeholder: "Search names, tags, messages", "aria-label": "Search sessions",
  });
  const choice = make("div", { class: "nbs-menu" });
  const menu = make("details", { class: "nbs-columns" }, make("summary", {}, "Columns"), choice);
  const head = make("tr");
  const body = make("tbody");
  const table = make(
    "table", { role: "grid", "aria-multiselectable": "true", "aria-label": "Sessions" },
    make("thead", {}, head), body,
  );
  const turn = (by) => ask({ offset: Math.max(0, model.get("offset") + by * model.get("page_size")) });
  const back = button("‹ Newer", () => turn(-1), { "aria-label": "Previous page" });
  const on = button("Older ›", () => turn(1), { "aria-label": "Next page" });
  const place = make("span", { class: "nbs-muted" });
  const picked = make("span", { class: "nbs-picked", hidden: true });
  const status = statusLine(model, (content) => send(content));
  const node = root(
    el, "Sessions",
    make("div", { class: "nbs-bar" }, search, menu),
    make("div", { class: "nbs-scroll" }, table),
    make("div", { class: "nbs-bar" }, back, on, place, picked),
    status.node,
  );
  const asked = alive(model, node, signal);

  const ask = (changes) => {
    const news = Object.entries(changes).filter(([name, value]) => model.get(name) !== value);
    if (!news.length) return;
    for (const [name, value] of news) model.set(name, value);
    asked();
    model.save_changes();
  };
  const send = (content) => {
    asked();
    model.send(content);
  };
  const selected = () => new Set(model.get("selected_keys").map(keyOf));
  const pick = (keys) => {
    model.set("selected_keys", keys);
    model.save_changes();
  };
  const rows = () => model.get("_page").rows;

  function drawHead() {
    const order = model.get("order_by");
    const all = make("input", { type: "checkbox", "aria-label": "Select this page" });
    const chosen = selected();
    all.checked = rows().length > 0 && rows().every((row) => chosen.has(keyOf(row.key)));
    all.addEventListener("change", () => {
      const here = new Set(rows().map((row) => keyOf(row.key)));
      const others = model.get("selected_keys").filter((key) => !here.has(keyOf(key)));
      pick(all.checked ? [...others, ...rows().map((row) => row.key)] : others);
    });
    const titles = shown().map((column) => {
      const sorted = column.name === order;
      const down = model.get("descending");
      const sort = sorted ? (down ? "descending" : "ascending") : "none";
      const arrow = sorted ? (down ? " ▼" : " ▲") : "";
      const first = column.kind !== "text"; // texts begin with A, all else with the newest or the most
      const label = column.sorts
        ? button(`${column.label}${arrow}`, () => ask({
            order_by: column.name, descending: sorted ? !down : first, offset: 0,
          }))
        : column.label;
      return make("th", {
        scope: "col", class: `nbs-${column.kind}`, "aria-sort": column.sorts ? sort : null,
      }, label);
    });
    redraw(head, make("th", { scope: "col" }, all), ...titles);
  }

  const shown = () => {
    const known = new Map(model.get("_known").map((column) => [column.name, column]));
    return model.get("columns").map((name) => known.get(name)).filter(Boolean);
  };

  function drawBody() {
    const { offset } = model.get("_page");
    const chosen = selected();
    const columns = shown();
    const before = node.getRootNode().activeElement;
    const held = body.contains(before);
    focused = Math.min(focused, Math.max(0, rows().length - 1));
    body.replaceChildren(...rows().map((row, at) => {
      const is = chosen.has(keyOf(row.key));
      const box = make("input", { type: "checkbox", tabindex: -1, "aria-label": `Select ${row.label}` });
      box.checked = is;
      return make(
        "tr",
        {
          "aria-selected": String(is), "aria-rowindex": offset + at + 2, tabindex: at === focused ? 0 : -1,
          onclick: (event) => choose(at, event.shiftKey),
        },
        make("td", {}, box),
        ...columns.map((column) => {
          const text = cell(column, row.cells[column.name]);
          return make("td", { class: `nbs-${column.kind}`, title: text.length > 30 ? text : null }, text);
        }),
      );
    }));
    if (!rows().length) {
      const text = model.get("text") ? "No session is called so, and none says so." : "There are no sessions yet.";
      body.append(make("tr", {}, make("td", { colspan: columns.length + 1, class: "nbs-muted" }, text)));
    }
    if (held) body.rows[focused]?.focus();
  }

  function choose(at, range) {
    const keys = new Map(model.get("selected_keys").map((key) => [keyOf(key), key]));
    const toggled = keyOf(rows()[at].key);
    const is = !keys.has(toggled);
    const [from, to] = range && anchor !== null ? [Math.min(anchor, at), Math.max(anchor, at)] : [at, at];
    for (const row of rows().slice(from, to + 1)) {
      if (is) keys.set(keyOf(row.key), row.key);
      else keys.delete(keyOf(row.key));
    }
    anchor = at;
    focused = at;
    pick([...keys.values()]);
    body.rows[at]?.focus();
  }

  function drawPlace() {
    const { offset, total } = model.get("_page");
    const last = offset + rows().length;
    const range = rows().length ? `${(offset + 1).toLocaleString("en")}–${last.toLocaleString("en")} of ` : "";
    place.textContent = `${range}${plural(total, "session")}`;
    table.setAttribute("aria-rowcount", total + 1);
    back.disabled = offset === 0;
    on.disabled = last >= total;
  }

  function drawPicked() {
    asks = false;
    const count = model.get("selected_keys").length;
    picked.hidden = count === 0;
    picked.replaceChildren(
      `${count.toLocaleString("en")} selected `,
      button("Tag…", () => wish("tag")), button("Delete…", () => wish("delete")), button("Clear", () => pick([])),
    );
  }

  const keep = () => (drawPicked(), picked.querySelector("button").focus());

  // A second step before something is done: the tag, or that one means it.
  function wish(what) {
    const count = plural(model.get("selected_keys").length, "session");
    asks = true;
    if (what === "delete") {
      const sure = button("Delete", () => (send({ do: "delete" }), drawPicked()), { class: "nbs-danger" });
      picked.replaceChildren(`Delete ${count} for good? `, sure, button("Keep", keep));
      sure.focus();
      return;
    }
    const tag = make("input", { type: "text", "aria-label": "Tag", placeholder: "tag", size: 12 });
    const add = () => tag.value.trim() && (send({ do: "tag", tag: tag.value.trim() }), drawPicked());
    tag.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault(); // else it is pressed on the button that then has the focus, too
      add();
    });
    picked.replaceChildren(`Tag ${count} with `, tag, button("Add", add), button("Cancel", keep));
    tag.focus();
  }

  function drawChoice() {
    const names = model.get("columns");
    redraw(choice, ...model.get("_known").map((column) => {
      const box = make("input", { type: "checkbox" });
      box.checked = names.includes(column.name);
      box.addEventListener("change", () => {
        const order = model.get("_known").map((one) => one.name);
        const wanted = box.checked ? [...names, column.name] : names.filter((name) => name !== column.name);
        if (!wanted.length) box.checked = true;
        else ask({ columns: order.filter((name) => wanted.includes(name)) });
      });
      return make("label", {}, box, column.label);
    }));
  }

  // A question that is open stays, whatever happens in the store.
  const drawPage = () => (drawHead(), drawBody(), drawPlace());
  const listen = listener(model, signal);
  listen("_page", drawPage);
  listen("_status", status.draw);
  listen("selected_keys", () => (drawPage(), drawPicked()));
  listen("columns", () => (drawChoice(), drawPage()));
  listen("text", () => (search.value = search.value.trim() === model.get("text") ? search.value : model.get("text")));

  let typing = null;
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => ask({ text: search.value, offset: 0 }), 50);
  });
  node.addEventListener("keydown", (event) => {
    const inRows = body.contains(event.target) && event.target.tagName === "TR";
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const types = event.target.matches("input:not([type=checkbox])");
    if (event.key === "/" && !types) search.focus();
    else if (event.key === "Escape" && event.target === search && search.value) {
      search.value = "";
      ask({ text: "", offset: 0 });
    } else if (event.key === "Escape" && menu.open) {
      menu.open = false;
      menu.firstChild.focus();
    } else if (event.key === "Escape" && asks) keep();
    else if (event.key === "Escape") pick([]);
    else if (event.target === search && ["ArrowDown", "Enter"].includes(event.key)) body.rows[0]?.focus();
    else if (inRows && step) {
      const next = event.target.rowIndex - 1 + step;
      if (!body.rows[next]) return;
      focused = next;
      for (const row of body.rows) row.tabIndex = row === body.rows[next] ? 0 : -1;
      body.rows[next].focus();
      if (event.shiftKey) choose(next, false);
    } else if (inRows && [" ", "Enter"].includes(event.key)) choose(event.target.rowIndex - 1, event.shiftKey);
    else if (inRows && event.key === "PageDown" && !on.disabled) turn(1);
    else if (inRows && event.key === "PageUp" && !back.disabled) turn(-1);
    else return;
    event.preventDefault();
  });

  search.value = model.get("text");
  drawChoice();
  drawPage();
  drawPicked();
  status.draw();
}

export default { render };
