"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const make = (name, fields = {}) => Object.assign(document.createElement(name), fields);
  const LONG = 8; // lines, from which on a table or a list can be filtered
  const PAPER = 680; // pixels, the width of plots in print
  const PRINTED = 60; // folds with something to look at, up to which they are printed though closed
  const SETTLED = 400; // milliseconds, after which there is time for what is not seen yet
  const NARROW = 500; // pixels, below which an axis has few ticks
  const TICKS = 4; // of those
  const ENTRY = 19; // pixels, the height of a line of a legend

  // ---- light and dark
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const button = document.getElementById("theme");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches);
  const named = () => { button.textContent = isDark() ? "Light" : "Dark"; };
  button.hidden = false;
  named();
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    named();
    redraw();
  });
  prefersDark.addEventListener("change", () => { named(); redraw(); });

  // ---- tables
  const field = (value, kind, first) => {
    const [text, number, low, high, link, tone] = Array.isArray(value) ? value : [value];
    const cell = make(first ? "th" : "td");
    if (first) cell.scope = "row";
    const inner = make("bdi", { textContent: text });
    if (link) {
      const anchor = make("a", { href: `#${link}` });
      anchor.append(inner);
      cell.append(anchor);
    } else cell.append(inner);
    if (number !== undefined && number !== null) cell.dataset.value = number;
    if (low !== undefined && low !== null) Object.assign(cell.dataset, { low, high });
    cell.className = [kind, tone || ""].join(" ").trim();
    return cell;
  };
  // What is seen only when a fold is opened is compressed.
  const unpacked = async (island) => {
    if (island.dataset.gzip === undefined) return JSON.parse(island.textContent);
    const bytes = Uint8Array.from(atob(island.textContent), (one) => one.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  };
  const fill = async (box) => {
    const island = box.querySelector(":scope > script.lines");
    if (!island) return;
    const kinds = all("thead th", box).map((one) => one.className);
    const body = box.querySelector("tbody");
    for (const line of await unpacked(island)) {
      const row = make("tr");
      row.append(...line.map((value, place) => field(value, kinds[place], place === 0)));
      body.append(row);
    }
  };
  // What has no number in a column of numbers, such as "failed", is nothing to sort by.
  const key = (cell, numeric) => {
    if (!cell) return null;
    if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
    if (numeric) return null;
    return cell.textContent.trim() || null;
  };
  const compare = (one, other) => {
    if (one === null || other === null) return (one === null) - (other === null);
    if (typeof one === "number" && typeof other === "number") return one - other;
    return String(one).localeCompare(String(other), undefined, { numeric: true });
  };
  const sort = (table, head, place) => {
    const ascending = head.getAttribute("aria-sort") !== "ascending";
    all("thead th", table).forEach((one) => one.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const body = table.tBodies[0];
    const numeric = head.classList.contains("number");
    const rows = [...body.rows].map((row) => [key(row.cells[place], numeric), row]);
    rows.sort(([one], [other]) =>
      one === null || other === null || ascending ? compare(one, other) : compare(other, one));
    body.append(...rows.map(([, row]) => row));
  };
  let filters = 0;
  const filterOf = (what, count, apply) => {
    const box = make("div", { className: "filter" });
    const id = `filter-${++filters}`;
    const input = make("input", { type: "search", id });
    const told = make("output", { htmlFor: id, className: "quiet" });
    told.setAttribute("for", id);
    input.addEventListener("input", () => {
      const left = apply(input.value.trim().toLowerCase().split(/\s+/).filter(Boolean));
      told.textContent = input.value.trim() ? `${left} of ${count}` : "";
    });
    box.append(make("label", { htmlFor: id, textContent: `Filter ${what}` }), input, told);
    return box;
  };
  const matching = (elements, texts) => (parts) => {
    let left = 0;
    elements.forEach((element, place) => {
      const shown = parts.every((part) => texts[place].includes(part));
      element.hidden = !shown;
      left += shown;
    });
    return left;
  };
  const equip = async (box) => {
    if (box.dataset.equipped) return;
    box.dataset.equipped = "yes";
    await fill(box);
    const table = box.querySelector("table");
    const rows = [...table.tBodies[0].rows];
    if (rows.length > 1) {
      all("thead th", table).forEach((head, place) => {
        const sorter = make("button", { type: "button", textContent: head.textContent });
        head.replaceChildren(sorter);
        head.setAttribute("aria-sort", "none");
        sorter.addEventListener("click", () => sort(table, head, place));
      });
    }
    if (rows.length > LONG) {
      box.querySelector(".scroll").classList.toggle("long", rows.length > 2 * LONG);
      const texts = rows.map((row) => row.textContent.toLowerCase());
      box.prepend(filterOf("rows", rows.length, matching(rows, texts)));
    }
  };
  const hiddenIn = (element) => {
    const fold = element.parentElement.closest("details");
    return fold ? !fold.open || hiddenIn(fold) : false;
  };
  const wake = (from) => {
    all(".table", from).filter((box) => !hiddenIn(box)).forEach(equip);
    all(".plot", from).filter((box) => !hiddenIn(box)).forEach((box) => watcher.observe(box));
  };
  for (const list of all(".folds")) {
    const folds = all(":scope > details", list);
    if (folds.length <= LONG) continue;
    const texts = folds.map((one) => one.querySelector("summary").textContent.toLowerCase());
    list.prepend(filterOf(`${list.dataset.what}s`, folds.length, matching(folds, texts)));
  }

  // ---- plots
  const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
  // Only colours are named by the style: a text may begin with a dollar.
  const themed = (value, name = "") => {
    const isColour = /colors?$/.test(name);
    if (typeof value === "string") {
      return isColour && value[0] === "$" ? colour(value.slice(1)) : value;
    }
    if (Array.isArray(value)) {
      const plain = !isColour && typeof value[0] !== "object";
      return plain ? value.slice() : value.map((one) => themed(one, name));
    }
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, themed(one, key)]));
  };
  const axis = () => ({
    gridcolor: colour("grid"), zerolinecolor: colour("line"), linecolor: colour("line"),
    automargin: true, title: { standoff: 8 },
  });
  const merged = (base, more) => {
    const result = { ...base };
    for (const [name, value] of Object.entries(more)) {
      const both = value && base[name] && typeof value === "object" && !Array.isArray(value);
      result[name] = both ? merged(base[name], value) : value;
    }
    return result;
  };
  const layout = (asked) => {
    const base = {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("ink") },
      margin: { l: 60, r: 20, t: 36, b: 50 },
      legend: { orientation: "h", x: 0, y: 1.01, yanchor: "bottom", font: { size: 12 } },
      hoverlabel: {
        bgcolor: colour("raised"), bordercolor: colour("line"), align: "left",
        font: { color: colour("ink"), size: 12 }, namelength: -1,
      },
      hovermode: "closest",
      dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
      xaxis: axis(), yaxis: axis(),
    };
    return merged(base, themed(asked));
  };
  const figures = new WeakMap();
  const islandOf = (box) => box.parentElement.querySelector(":scope > script.figure");
  const ready = async (box) => {
    if (!figures.has(box)) figures.set(box, await unpacked(islandOf(box)));
  };
  const heights = new WeakMap();
  const listening = new WeakSet();
  const thinned = (one) => {
    const every = Math.ceil((one.tickvals || []).length / TICKS);
    if (every < 2) return one;
    const kept = (texts) => texts.filter((_, place) => place % every === 0);
    return { ...one, tickvals: kept(one.tickvals), ticktext: kept(one.ticktext) };
  };
  // A legend of several lines has a room of its own, above that of the plot.
  const makeRoom = (box) => {
    const legend = box.querySelector(".legend .scrollbox");
    const more = legend ? Math.max(0, Math.ceil(legend.getBBox().height) - ENTRY) : 0;
    const height = heights.get(box) + more;
    if (height === box.clientHeight) return;
    box.style.height = `${height}px`;
    Plotly.relayout(box, { height });
  };
  const draw = (box, width) => {
    if (!figures.has(box)) {
      const island = islandOf(box);
      if (island.dataset.gzip !== undefined) {
        ready(box).then(() => draw(box, width));
        return;
      }
      figures.set(box, JSON.parse(island.textContent));
    }
    if (!heights.has(box)) heights.set(box, parseFloat(box.style.height));
    box.style.height = `${heights.get(box)}px`;
    const { data, layout: asked } = figures.get(box);
    const how = { ...layout(asked), height: heights.get(box), width: width || box.clientWidth };
    if (how.width < NARROW) how.xaxis = thinned(how.xaxis);
    Plotly.react(box, themed(data), how, { displayModeBar: false });
    makeRoom(box);
    box.dataset.drawn = "yes";
    if (listening.has(box)) return;
    listening.add(box);
    box.on("plotly_relayout", (change) => { // ticks are chosen for the whole, not for what is zoomed
      for (const name of ["xaxis", "yaxis"]) {
        if (`${name}.range[0]` in change && box.layout[name].type === "log") {
          Plotly.relayout(box, { [`${name}.tickmode`]: "auto" });
        }
      }
    });
    box.on("plotly_click", ({ points: [point] }) => {
      const links = point.data.meta && point.data.meta.links;
      const link = links && links[point.pointNumber];
      if (link) location.hash = link;
    });
  };
  // What is folded away has no width: it is drawn anew when it is seen again.
  const forget = (box) => { delete box.dataset.drawn; };
  const redraw = () => all(".plot[data-drawn]").forEach((box) => (hiddenIn(box) ? forget : draw)(box));
  let across = innerWidth;
  let waiting = 0;
  addEventListener("resize", () => {
    if (innerWidth === across) return; // on phones the height changes as one scrolls
    across = innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(redraw, SETTLED);
  });
  const watcher = new IntersectionObserver((seen) => {
    for (const { isIntersecting, target } of seen) {
      if (!isIntersecting) continue;
      watcher.unobserve(target);
      if (!target.dataset.drawn) draw(target);
    }
  }, { rootMargin: "300px" });

  // ---- print
  const folds = all("details.fold").filter((one) => one.querySelector(".plot, .shots"));
  const isPrintedWhole = folds.length <= PRINTED;
  let unfolded = []; // for print
  if (isPrintedWhole) {
    // Nothing can be waited for when printing begins: what is packed is unpacked before.
    addEventListener("load", () => setTimeout(() => all(".plot").forEach(ready), SETTLED));
  } else {
    root.dataset.large = "yes";
    document.querySelector(".title").append(make("p", {
      className: "folded", textContent: "Printed without what is folded: open before what is to be seen.",
    }));
  }
  addEventListener("beforeprint", () => {
    if (isPrintedWhole) unfolded = folds.filter((one) => !one.open);
    unfolded.forEach((one) => { one.open = true; });
    const theme = root.dataset.theme;
    root.dataset.theme = "light";
    all(".plot").filter((box) => !hiddenIn(box)).forEach((box) => draw(box, PAPER));
    if (theme) root.dataset.theme = theme; else delete root.dataset.theme;
  });
  addEventListener("afterprint", () => {
    unfolded.forEach((one) => { one.open = false; });
    unfolded = [];
    redraw();
  });

  // ---- places
  const reach = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) {
      fold.open = true;
    }
    target.hidden = false;
    target.scrollIntoView({ block: "start" });
    const row = target.closest("tr") || target;
    row.classList.remove("reached");
    void row.offsetWidth; // so that the same place is shown again
    row.classList.add("reached");
  };
  addEventListener("hashchange", reach);
  for (const fold of all("details")) {
    fold.addEventListener("toggle", () => {
      if (!fold.open) return;
      wake(fold);
      all(".plot", fold).filter((box) => !hiddenIn(box)).forEach(ready);
    });
  }
  wake(document);
  reach();
})();
