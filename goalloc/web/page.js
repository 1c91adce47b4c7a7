// Keeps the page up to date.  What comes as HTML was made by goalloc's displays, which escape names.
(() => {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";
  const POINTS = 900; // kept; a quarter of an hour at one a second
  const SECOND = 1000;
  // Okabe and Ito's colours, which the colour-blind can tell apart; dashes tell them apart besides.
  const LINES = [
    { name: "live", colour: "#0072b2", dash: "", value: (m) => m.heap_alloc },
    { name: "in spans in use", colour: "#e69f00", dash: "6 3", value: (m) => m.heap_inuse - m.heap_inuse_released },
    { name: "held from the system", colour: "#009e73", dash: "2 3", value: (m) => m.sys - m.heap_released - m.heap_inuse_released },
  ];
  const place = (id) => document.getElementById(id);
  const history = [];
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  let flame; // the state of the flame graph that is on show

  async function ask(path) {
    const answer = await fetch(path, { cache: "no-store" });
    if (!answer.ok) throw new Error((await answer.text()).trim() || `status ${answer.status}`);
    return answer;
  }

  function human(n) {
    for (const [size, name] of [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [1024, "KiB"]])
      if (n >= size) return `${(n / size).toFixed(n / size < 10 ? 1 : 0)} ${name}`;
    return `${n} B`;
  }

  function drawing(tag, attributes, text) {
    const made = document.createElementNS(SVG, tag);
    for (const name in attributes) made.setAttribute(name, attributes[name]);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  // A round number of bytes, so that about four lines of the grid fit below the top.
  function step(top) {
    let size = 4096;
    while (top / size > 5) size *= 2;
    return size;
  }

  function drawTime() {
    const svg = place("time");
    const [wide, high, left, bottom] = [svg.clientWidth || 800, 220, 62, 18];
    const known = history.filter((p) => p.values[0] !== null);
    if (!known.length) return;
    const first = known[0].time;
    const span = Math.max(known.at(-1).time - first, 60);
    const top = Math.max(...known.flatMap((p) => p.values)) * 1.05 || 1;
    const x = (time) => left + ((time - first) / span) * (wide - left - 8);
    const y = (value) => (high - bottom) * (1 - value / top) + 4;
    const parts = [];
    for (let value = 0; value <= top; value += step(top)) {
      parts.push(drawing("line", { class: "grid", x1: left, x2: wide, y1: y(value), y2: y(value) }));
      parts.push(drawing("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, human(value)));
    }
    const from = new Date(first * SECOND).toLocaleTimeString();
    parts.push(drawing("text", { x: left, y: high - 2 }, from));
    const to = new Date((first + span) * SECOND).toLocaleTimeString();
    parts.push(drawing("text", { x: wide - 8, y: high - 2, "text-anchor": "end" }, to));
    LINES.forEach(({ name, colour, dash }, i) => {
      const d = known.map((p, k) => `${k ? "L" : "M"}${x(p.time).toFixed(1)} ${y(p.values[i]).toFixed(1)}`).join("");
      const path = drawing("path", { d, stroke: colour, "stroke-dasharray": dash });
      path.append(drawing("title", {}, name));
      parts.push(path);
    });
    svg.setAttribute("viewBox", `0 0 ${wide} ${high}`);
    svg.replaceChildren(...parts);
    drawKey(known.at(-1).values);
  }

  function drawKey(values) {
    const items = LINES.map(({ name, colour, dash }, i) => {
      const item = document.createElement("span");
      const line = document.createElement("i");
      line.style.borderTopColor = colour;
      if (dash) line.style.borderTopStyle = "dashed";
      item.append(line, `${name}: ${human(values[i])}`);
      return item;
    });
    place("time-key").replaceChildren(...items);
  }

  function showState(state) {
    const m = state.memstats;
    history.push({ time: state.time, values: LINES.map((l) => (m.sys === null ? null : l.value(m))) });
    if (history.length > POINTS) history.shift();
    place("about").textContent =
      `${state.program} · process ${state.pid} · Python ${state.python} · ` +
      `goalloc ${state.goalloc}, ${state.mode || "not in use"} · rate ${state.rate}`;
    document.title = `goalloc: ${state.program}`;
    const choice = place("arena");
    while (choice.length < state.arenas) choice.add(new Option(choice.length));
    drawTime();
  }

  function showFlame(data) {
    const fresh = document.createElement("div");
    fresh.className = "goalloc-flame";
    const old = place("flame");
    // Not under the reader's hands.
    if (old.contains(document.activeElement)) return;
    const kept = flame?.();
    old.replaceChildren(fresh);
    flame = goallocFlame(fresh, data, kept);
  }

  async function fragment(id, path) {
    const target = place(id);
    try {
      target.innerHTML = await (await ask(path)).text();
    } catch (error) {
      target.textContent = error.message;
    }
  }

  async function refresh() {
    showFlame(await (await ask("flame.json")).json());
    await fragment("ledger", "ledger.html");
    await fragment("arena-map", `arena.html?n=${Number(place("arena").value)}`);
  }

  // One after the other, so that a slow program is never asked twice at once.
  async function run() {
    let due = 0;
    for (;;) {
      const interval = Number(place("interval").value);
      try {
        if (!document.hidden) {
          showState(await (await ask("state.json")).json());
          if (Date.now() >= due && (interval || !due)) {
            await refresh();
            due = Date.now() + interval * SECOND;
          }
        }
        place("problem").hidden = true;
      } catch (error) {
        place("problem").textContent = `The program does not answer: ${error.message}`;
        place("problem").hidden = false;
      }
      await wait(SECOND);
    }
  }

  place("arena").addEventListener("change", () => fragment("arena-map", `arena.html?n=${Number(place("arena").value)}`));
  new ResizeObserver(drawTime).observe(place("time"));
  run();
})();
