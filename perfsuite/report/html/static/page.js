"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const make = (name, fields = {}) => Object.assign(document.createElement(name), fields);
  const LONG = 8; // lines, from which on a table or a list can be filtered
  const PAPER = 680; // pixels, the width of plots in print

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
  const field = (value, numeric, first) => {
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
    cell.className = [numeric ? "number" : "", tone || ""].join(" ").trim();
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
    const heads = all("thead th", box).map((one) => one.classList.contains("number"));
    const body = box.querySelector("tbody");
    for (const line of await unpacked(island)) {
      const row = make("tr");
      row.append(...line.map((value, place) => field(value, heads[place], place === 0)));
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
  const draw = (box, width) => {
    const island = islandOf(box);
    if (!figures.has(box)) {
      if (island.dataset.gzip === undefined) figures.set(box, JSON.parse(island.textContent));
      else {
        unpacked(island).then((figure) => { figures.set(box, figure); draw(box, width); });
        return;
      }
    }
    const { data, layout: asked } = figures.get(box);
    const how = { ...layout(asked), height: box.clientHeight || undefined };
    if (width) how.width = width;
    Plotly.react(box, themed(data), how, { displayModeBar: false, responsive: true });
    if (box.dataset.drawn) return;
    box.dataset.drawn = "yes";
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
  const redraw = (width) => all(".plot[data-drawn]").forEach((box) => draw(box, width));
  const watcher = new IntersectionObserver((seen) => {
    for (const { isIntersecting, target } of seen) {
      if (!isIntersecting) continue;
      watcher.unobserve(target);
      if (!target.dataset.drawn) draw(target);
    }
  }, { rootMargin: "300px" });
  addEventListener("beforeprint", () => {
    const theme = root.dataset.theme;
    root.dataset.theme = "light";
    all(".plot").filter((box) => !hiddenIn(box)).forEach((box) => draw(box, PAPER));
    if (theme) root.dataset.theme = theme; else delete root.dataset.theme;
  });
  addEventListener("afterprint", () => redraw());

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
    fold.addEventListener("toggle", () => { if (fold.open) wake(fold); });
  }
  wake(document);
  reach();
})();
