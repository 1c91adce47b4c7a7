// An icicle of the tree of calls, drawn once into `root` from `data` (flamegraph.py: data()).
// Nothing is global, nothing is fetched; names become text only, never markup.
// Returns a function that tells what the reader has chosen; given as `chosen` it is so again, in a
// picture of newer data.
function goallocFlame(root, data, chosen) {
  "use strict";
  if (root.goallocDrawn) return; // a property, which no saved page keeps: there it is drawn again
  root.goallocDrawn = true;
  const KINDS = {
    inuse: "in use",
    alloc: "allocated",
    peak: "at the peak",
    temporary: "temporary",
  };
  const UNITS = { space: "bytes", objects: "blocks" };
  const ROW = 18;
  const LEAST = 0.5; // pixels: what is narrower is not drawn until it is zoomed into
  const LETTER = 6.7; // width of a letter in pixels, a little more than it is
  const SVG = "http://www.w3.org/2000/svg";
  // Paul Tol's "light" colours, and the blue and red of ColorBrewer's RdBu: both are made so that
  // the colour-blind tell them apart.  Text on them is dark, but on the ends of the second.
  const FILLS =
    "#77aadd #99ddff #44bb99 #bbcc33 #aaaa00 #eedd88 #ee8866 #ffaabb".split(" ");
  const SHADES =
    "#2166ac #4393c3 #92c5de #d1e5f0 #f7f7f7 #fddbc7 #f4a582 #d6604d #b2182b".split(" ");
  const GREY = "#dddddd";

  const count = data.parents.length;
  const depth = new Int32Array(count);
  for (let i = 1; i < count; i++) depth[i] = depth[data.parents[i]] + 1;
  const [kind, unit] = data.value.split("_");
  const state = { kind, unit, zoom: 0, focus: 0, query: "", ...chosen?.state };
  const cache = {};
  let drawn = new Map(); // node -> its <g>
  let view; // the layout on show

  function ownOf(kind, unit) {
    if (kind !== "temporary") return data.own[`${kind}_${unit}`];
    const inuse = data.own[`inuse_${unit}`];
    return data.own[`alloc_${unit}`].map((n, i) => n - inuse[i]);
  }

  // For one value: own and total of each node, its width (in a difference of absolute values, so
  // that what has grown does not hide what has shrunk) and where it starts.
  function layout(kind, unit) {
    const key = `${kind}_${unit}`;
    if (cache[key]) return cache[key];
    const own = ownOf(kind, unit);
    const total = Float64Array.from(own);
    const width = Float64Array.from(own, Math.abs);
    for (let i = count - 1; i > 0; i--) {
      total[data.parents[i]] += total[i];
      width[data.parents[i]] += width[i];
    }
    const start = new Float64Array(count);
    const next = new Float64Array(count);
    for (let i = 1; i < count; i++) {
      const parent = data.parents[i];
      start[i] = next[i] = next[parent];
      next[parent] += width[i];
    }
    return (cache[key] = { own, total, width, start });
  }

  function formatted(n, unit) {
    const plus = data.diff && n > 0 ? "+" : "";
    if (unit === "objects") return plus + n.toLocaleString("en");
    for (const [size, name] of [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [1024, "KiB"]])
      if (Math.abs(n) >= size) return `${plus}${(n / size).toFixed(1)} ${name}`;
    return `${plus}${n} B`;
  }

  function percent(n) {
    const whole = data.base[`${state.kind}_${state.unit}`] || view.width[0];
    return whole ? `${((100 * n) / whole).toFixed(1)} %` : "";
  }

  const nameOf = (node) => data.names[data.groups[node]];
  const childrenOf = (node) => [...drawn.keys()].filter((i) => i && data.parents[i] === node);

  function element(tag, properties, ...children) {
    const made = document.createElement(tag);
    Object.assign(made, properties);
    made.append(...children);
    return made;
  }

  function drawing(tag, attributes) {
    const made = document.createElementNS(SVG, tag);
    for (const name in attributes) made.setAttribute(name, attributes[name]);
    return made;
  }

  // ---- what is around the picture

  function choices(label, options, chosen, choose) {
    const buttons = Object.entries(options).map(([value, text]) => {
      const button = element("button", { type: "button", textContent: text });
      button.setAttribute("aria-pressed", value === chosen);
      button.onclick = () => {
        for (const other of buttons) other.setAttribute("aria-pressed", other === button);
        choose(value);
      };
      return button;
    });
    const group = element("span", { className: "goalloc-choices" }, ...buttons);
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", label);
    return group;
  }

  const lines = (texts) => texts.map((text) => element("div", { textContent: text }));
  const title = element("div", { className: "goalloc-title", textContent: data.title });
  const kinds = { ...KINDS };
  if (!data.own.peak_space) delete kinds.peak;
  const search = element("input", { type: "search", placeholder: "search (/)" });
  search.setAttribute("aria-label", "search for functions");
  const reset = element("button", { type: "button", textContent: "whole", disabled: true });
  const status = element("div", { className: "goalloc-status" });
  status.setAttribute("aria-live", "polite");
  // A popover, where there are: a notebook cuts off what sticks out of a cell's output.
  const tip = element("div", { className: "goalloc-tip", hidden: true, popover: "manual" });
  const svg = drawing("svg", {
    role: "tree",
    "aria-label": "flame graph: arrows move, Enter zooms, Escape shows the whole",
  });
  const bar = element(
    "div",
    { className: "goalloc-bar" },
    choices("which blocks", kinds, state.kind, (value) => update({ kind: value })),
    choices("unit", UNITS, state.unit, (value) => update({ unit: value })),
    search,
    reset,
  );
  const notes = element("div", { className: "goalloc-notes" }, ...lines(data.notes));

  // ---- the picture

  function colour(node) {
    const hue = data.hues[data.groups[node]];
    if (hue < 0 && !(data.diff && node)) return GREY;
    if (!data.diff) return FILLS[hue % FILLS.length];
    const share = view.width[node] ? view.total[node] / view.width[node] : 0;
    return SHADES[Math.round(4 + 4 * share)];
  }

  function labelFor(node, pixels) {
    const room = Math.floor((pixels - 6) / LETTER);
    if (room < 2) return "";
    const full = nameOf(node);
    if (full.length <= room) return full;
    const short = data.shorts[data.groups[node]];
    return short.length <= room ? short : `${short.slice(0, room - 1)}…`;
  }

  function described(node) {
    const where = data.places[data.groups[node]];
    const [own, total] = [view.own[node], view.total[node]];
    const texts = where ? [nameOf(node), where] : [nameOf(node)];
    const known = data.base[`${state.kind}_${state.unit}`];
    const before = !data.diff ? "" : known ? " before" : ", up and down";
    texts.push(`${percent(total)} of all ${UNITS[state.unit]} ${KINDS[state.kind]}${before}`);
    texts.push(`its own: ${formatted(own, state.unit)}`);
    for (const kind in kinds) {
      const bytes = formatted(layout(kind, "space").total[node], "space");
      const blocks = formatted(layout(kind, "objects").total[node], "objects");
      texts.push(`${KINDS[kind]}: ${bytes} in ${blocks} blocks`);
    }
    return texts;
  }

  function matcher() {
    if (!state.query) return null;
    try {
      const pattern = new RegExp(state.query, "i");
      return (node) =>
        pattern.test(nameOf(node)) || pattern.test(data.places[data.groups[node]]);
    } catch {
      const text = state.query.toLowerCase();
      return (node) => nameOf(node).toLowerCase().includes(text);
    }
  }

  // The nodes to draw, each with its place: those inside of the zoomed one, and the way to it.
  function visible(pixels) {
    const places = new Map();
    for (let node = state.zoom; ; node = data.parents[node]) {
      places.set(node, [0, pixels]);
      if (!node) break;
    }
    const way = new Set(places.keys());
    const scale = pixels / view.width[state.zoom];
    const offset = view.start[state.zoom];
    for (let i = state.zoom + 1; i < count; i++) {
      const parent = data.parents[i];
      if (way.has(i) || !places.has(parent) || (way.has(parent) && parent !== state.zoom)) continue;
      const wide = view.width[i] * scale;
      if (wide >= LEAST) places.set(i, [(view.start[i] - offset) * scale, wide]);
    }
    return places;
  }

  function drawNode(node, [x, wide], hit) {
    const fill = colour(node);
    const total = view.total[node];
    const group = drawing("g", {
      "data-node": node,
      role: "treeitem",
      tabindex: node === state.focus ? 0 : -1,
      "aria-level": depth[node] + 1,
      "aria-label": `${nameOf(node)}, ${formatted(total, state.unit)}, ${percent(total)}`,
    });
    if (hit === false || depth[node] < depth[state.zoom]) group.classList.add("goalloc-dim");
    const y = depth[node] * ROW;
    const width = Math.max(wide - 0.5, LEAST);
    group.append(drawing("rect", { x, y, width, height: ROW - 1, fill }));
    const label = labelFor(node, wide);
    if (label) {
      const ink = fill === SHADES[0] || fill === SHADES[8] ? "#ffffff" : "#111111";
      const text = drawing("text", { x: x + 3, y: y + ROW - 6, fill: ink });
      text.textContent = label;
      group.append(text);
    }
    return group;
  }

  function draw() {
    view = layout(state.kind, state.unit);
    const hadFocus = svg.contains(root.getRootNode().activeElement);
    const pixels = root.clientWidth || 800;
    const places = view.width[0] ? visible(pixels) : new Map();
    if (!places.has(state.focus)) state.focus = state.zoom;
    const matches = matcher();
    drawn = new Map();
    let deepest = 0;
    for (const [node, place] of places) {
      drawn.set(node, drawNode(node, place, matches ? matches(node) : null));
      deepest = Math.max(deepest, depth[node]);
    }
    svg.setAttribute("width", pixels);
    svg.setAttribute("height", (deepest + 1) * ROW);
    svg.replaceChildren(...drawn.values());
    reset.disabled = !state.zoom;
    status.textContent = summary(matches);
    if (hadFocus) drawn.get(state.focus)?.focus();
  }

  // What is matched counts once, however deep: the outermost match of each stack.
  function summary(matches) {
    if (!view.width[0]) return `nothing ${KINDS[state.kind]}`;
    const zoomed = state.zoom ? `${nameOf(state.zoom)}: ` : "";
    const blocks = state.unit === "objects" ? " blocks" : "";
    const total = formatted(view.total[state.zoom], state.unit);
    const text = `${zoomed}${total}${blocks} ${KINDS[state.kind]}`;
    if (!matches) return text;
    const inside = new Uint8Array(count);
    let sum = 0;
    for (let i = 1; i < count; i++) {
      inside[i] = inside[data.parents[i]];
      if (inside[i] || !matches(i)) continue;
      inside[i] = 1;
      sum += view.total[i];
    }
    return `${text}; found: ${formatted(sum, state.unit)} (${percent(sum)})`;
  }

  function update(changes) {
    Object.assign(state, changes);
    tip.hidden = true;
    draw();
  }

  // ---- what the reader does

  function nodeAt(event) {
    const group = event.target.closest?.("g[data-node]");
    return group ? Number(group.dataset.node) : -1;
  }

  function showTip(node, x, y) {
    tip.replaceChildren(...lines(described(node)));
    tip.hidden = false;
    if (tip.showPopover && !tip.matches(":popover-open")) tip.showPopover();
    const room = document.documentElement.clientWidth - tip.offsetWidth;
    // On the side where more of it lies over this picture: in VS Code the cells around cover the rest.
    const around = root.getBoundingClientRect();
    const under = y + 16 + tip.offsetHeight;
    const roomier = around.bottom - y >= y - around.top || y - 8 - tip.offsetHeight < 0;
    const below = under <= window.innerHeight && (under <= around.bottom || roomier);
    tip.style.left = `${Math.max(0, Math.min(x + 12, room))}px`;
    tip.style.top = `${below ? y + 16 : Math.max(0, y - 8 - tip.offsetHeight)}px`;
  }

  function focusOn(node) {
    const group = drawn.get(node);
    if (!group) return;
    drawn.get(state.focus)?.setAttribute("tabindex", -1);
    state.focus = node;
    group.setAttribute("tabindex", 0);
    group.focus();
  }

  function neighbour(step) {
    if (!state.focus) return 0;
    const siblings = childrenOf(data.parents[state.focus]);
    return siblings[siblings.indexOf(state.focus) + step] ?? state.focus;
  }

  const KEYS = {
    ArrowUp: () => focusOn(data.parents[state.focus]),
    ArrowDown: () => focusOn(childrenOf(state.focus)[0] ?? state.focus),
    ArrowLeft: () => focusOn(neighbour(-1)),
    ArrowRight: () => focusOn(neighbour(1)),
    Enter: () => update({ zoom: state.focus }),
    " ": () => update({ zoom: state.focus }),
    Escape: () => update({ zoom: 0, focus: 0 }),
    "/": () => search.focus(),
  };

  svg.addEventListener("click", (event) => {
    const node = nodeAt(event);
    if (node >= 0) update({ zoom: node, focus: node });
  });
  svg.addEventListener("keydown", (event) => {
    const act = !event.ctrlKey && !event.metaKey && !event.altKey && KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  });
  svg.addEventListener("mousemove", (event) => {
    const node = nodeAt(event);
    if (node < 0) tip.hidden = true;
    else showTip(node, event.clientX, event.clientY);
  });
  svg.addEventListener("mouseleave", () => (tip.hidden = true));
  svg.addEventListener("focusin", (event) => {
    const node = nodeAt(event);
    const box = event.target.getBoundingClientRect();
    const byKey = event.target.matches(":focus-visible");
    if (node >= 0 && byKey) showTip(node, box.left, box.bottom - 12);
  });
  svg.addEventListener("focusout", () => (tip.hidden = true));
  search.addEventListener("input", () => update({ query: search.value }));
  search.addEventListener("keydown", (event) => event.stopPropagation());
  reset.addEventListener("click", () => update({ zoom: 0, focus: 0 }));

  // The zoomed call by the names on the way to it: its number is another in other data.
  function wayTo(node) {
    return node ? [...wayTo(data.parents[node]), nameOf(node)] : [];
  }

  function at(way) {
    let node = 0;
    for (const name of way) {
      const parent = node;
      node = data.parents.findIndex((p, i) => i && p === parent && nameOf(i) === name);
      if (node < 0) return 0;
    }
    return node;
  }

  state.zoom = state.focus = at(chosen?.way ?? []);
  if (!kinds[state.kind]) state.kind = kind;
  search.value = state.query;
  root.replaceChildren(title, bar, status, svg, notes, tip);
  draw();
  new ResizeObserver(() => {
    if (root.clientWidth && root.clientWidth !== Number(svg.getAttribute("width"))) draw();
  }).observe(root);
  return () => ({ state: { kind: state.kind, unit: state.unit, query: state.query }, way: wayTo(state.zoom) });
}
