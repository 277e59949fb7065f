// Puts the page together: every change goes through `update`, which draws what the state says.

const KEYS = [
  [["j", "↓"], "next conversation"], [["k", "↑"], "previous conversation"], [["g", "G"], "first, last"], [["/"], "search"],
  [["c"], "compare with another conversation on the same problem"], [["["], "previous to compare with"], [["]"], "next to compare with"],
  [["r"], "the raw chat, with special tokens"], [["l"], "copy a link to this view"], [["x"], "clear all filters"],
  [["Enter"], "read the conversation (scroll with the arrows)"], [["Esc"], "one step back"], [["?"], "this help"],
];
const MEANINGS = [
  ["verdict", "What the verifier said of a response: correct, wrong, unparsable (no answer in it), timeout."],
  ["return", "γ to the power of the turns needed, if solved, minus the penalty for repeated answers (Eq. 12)."],
  ...(hasWeights ? [
    ["weight", "How much the example counts in training (Eq. 13); the weights of one problem average 1."],
    ["trained on", "The response the loss covers."],
    ["pruned", "The weight is so small that the example is not computed; it keeps its place in the batch."],
    ["dropped", "Left out: no trajectory solved the problem, or this one was solved at none of the turns that are kept."],
  ] : []),
  ["cut", "The response came to the token limit before the model ended it."],
];

const opened = () => rowOfKey.get(state.open) ?? null;

// A partner is on the same problem; a link may say anything.
function partnerOf(row) {
  const partner = rowOfKey.get(state.with);
  return partner && partner !== row && partner.problem === row.problem ? partner : null;
}

function update() {
  const { found, counts } = find();
  showControls(counts);
  showList(found);
  showReader();
  writeAddress();
}

function showReader() {
  const row = opened();
  document.body.classList.toggle("reading", Boolean(row));
  const reader = byId("reader");
  const focused = reader.contains(document.activeElement) ? document.activeElement.id : "";
  if (row) {
    const partner = partnerOf(row);
    state.with = partner?.key ?? "";
    reader.replaceChildren(...readerView(row, partner, actions));
  } else {
    state.with = "";
    reader.replaceChildren(el("p", { class: "invitation", hidden: !listed.length }, "Choose a conversation, or press ", el("kbd", {}, "j"), "."));
  }
  if (focused) byId(focused)?.focus(); // what had the focus has it again
  highlight(state.q.trim().toLowerCase(), reader, byId("rows"));
}

function redraw() {
  showReader();
  writeAddress();
}

function open(row) {
  const before = rowOfKey.get(state.with);
  state.open = row?.key ?? "";
  state.with = before && row ? defaultPartner(row, before)?.key ?? "" : "";
  byId("reader").scrollTop = 0;
  if (row) scrollToRow(row);
  drawRows();
  redraw();
}

function step(by) {
  if (!listed.length) return;
  const row = opened();
  const within = (position) => Math.min(listed.length - 1, Math.max(0, position));
  let position = listed.indexOf(row);
  position = position < 0 ? 0 : within(position + by);
  // Who compares goes from problem to problem.
  while (state.with && listed[position].problem === row.problem && within(position + Math.sign(by)) !== position) position += Math.sign(by);
  open(listed[position]);
}

function clearFilters() {
  Object.assign(state, INITIAL, { open: state.open, with: state.with, raw: state.raw, sort: state.sort });
  update();
}

const actions = {
  previous: () => step(-1),
  next: () => step(1),
  back() {
    const row = opened();
    open(null);
    scrollToRow(row);
    byId("list").focus();
  },
  compare() {
    const row = opened();
    if (!row) return;
    state.with = state.with ? "" : defaultPartner(row)?.key ?? "";
    redraw();
  },
  partner(key) {
    state.with = key;
    redraw();
  },
  raw() {
    if (!opened()) return;
    state.raw = state.raw ? "" : "1";
    redraw();
  },
  async copy() {
    if (!opened()) return;
    try {
      await navigator.clipboard.writeText(location.href);
      toast("Link copied");
    } catch {
      toast("The link is in the address bar"); // the browser keeps the clipboard to itself
    }
  },
};

function nextPartner(by) {
  const row = opened();
  const partner = row && partnerOf(row);
  if (!partner) return;
  const partners = rowsOfProblem.get(row.problem.id).filter((other) => other !== row);
  actions.partner(partners[(partners.indexOf(partner) + by + partners.length) % partners.length].key);
}

let toastTimer = 0;
function toast(text) {
  byId("toast").textContent = text;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (byId("toast").textContent = ""), 2000);
}

function escape() {
  const row = opened();
  if (byId("reader").contains(document.activeElement)) byId("list").focus();
  else if (state.with) actions.compare();
  else if (state.raw) actions.raw();
  else if (row) actions.back();
}

const SHORTCUTS = {
  j: () => step(1), ArrowDown: () => step(1), k: () => step(-1), ArrowUp: () => step(-1),
  g: () => step(-Infinity), Home: () => step(-Infinity), G: () => step(Infinity), End: () => step(Infinity),
  PageDown: () => step(Math.floor(byId("list").clientHeight / rowHeight)), PageUp: () => step(-Math.floor(byId("list").clientHeight / rowHeight)),
  "/": () => byId("search").select(), c: actions.compare, r: actions.raw, l: actions.copy, x: clearFilters,
  "[": () => nextPartner(-1), "]": () => nextPartner(1), "?": () => byId("help").showModal(), Escape: escape,
  Enter: () => opened() && byId("reader").focus(),
};
const SCROLLING = ["ArrowDown", "ArrowUp", "Home", "End", "PageDown", "PageUp"];

function onKey(event) {
  const { target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
  if (target.matches("input, select")) {
    // In a field keys are typing; Escape and Enter lead back to the list, and the arrow down goes from search to list.
    const leaving = event.key === "Escape" || (target.matches("input") && event.key === "Enter") || (target.id === "search" && event.key === "ArrowDown");
    if (!leaving) return;
    byId("list").focus();
    if (target.id === "search" && event.key !== "Escape" && !listed.includes(opened())) step(1);
    event.preventDefault();
    return;
  }
  if (event.key === "Enter" && target.matches("button")) return;
  if (SCROLLING.includes(event.key) && byId("reader").contains(target)) return; // the reader scrolls by itself
  const shortcut = SHORTCUTS[event.key];
  if (!shortcut) return;
  event.preventDefault();
  shortcut();
}

function debounced(milliseconds, callback) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(callback, milliseconds);
  };
}

function listen() {
  const set = (id, name, event, soon) => {
    const change = () => {
      byId("list").scrollTop = 0;
      update();
    };
    const changeSoon = soon ? debounced(soon, change) : change;
    byId(id).addEventListener(event, () => {
      state[name] = byId(id).value;
      changeSoon();
    });
  };
  set("search", "q", "input", 120);
  set("low", "min", "input", 120);
  set("high", "max", "input", 120);
  for (const name of ["benchmark", "policy", "example"]) set(name, name, "change");
  byId("sort").addEventListener("change", () => {
    const name = byId("sort").value;
    state.sort = ["return", "weight"].includes(name) ? `-${name}` : name; // of these the largest are looked for first
    byId("list").scrollTop = 0;
    update();
  });
  for (const group of ["solved", "verdict"]) {
    byId(group).addEventListener("click", (event) => {
      const member = event.target.closest("button")?.dataset[group];
      if (member === undefined) return;
      toggle(group, member);
      byId("list").scrollTop = 0;
      update();
    });
  }
  byId("direction").addEventListener("click", () => {
    state.sort = descending() ? sortName() : `-${sortName()}`;
    update();
  });
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["clear", "clear-none"]) byId(id).addEventListener("click", clearFilters);
  byId("help-button").addEventListener("click", () => byId("help").showModal());
  byId("rows").addEventListener("click", (event) => {
    const view = event.target.closest(".row");
    if (view) open(rows[view.dataset.number]);
  });
  let drawing = 0;
  const drawSoon = () => {
    cancelAnimationFrame(drawing);
    drawing = requestAnimationFrame(() => {
      drawRows();
      highlight(state.q.trim().toLowerCase(), byId("reader"), byId("rows"));
    });
  };
  byId("list").addEventListener("scroll", drawSoon, { passive: true });
  new ResizeObserver(drawSoon).observe(byId("list"));
  document.addEventListener("keydown", onKey);
  window.addEventListener("hashchange", () => {
    document.activeElement?.blur();
    readAddress();
    update();
    if (opened()) scrollToRow(opened());
  });
}

function start() {
  byId("title").textContent = page.title;
  byId("explanation").textContent = page.explanation;
  if (page.total > rows.length) {
    const count = (value) => value.toLocaleString("en");
    byId("sampled").textContent = `A sample: ${count(rows.length)} of ${count(page.total)} conversations, on ${count(page.problems.length)} of ${count(page.totalProblems)} problems, ${benchmarks.length > 1 ? "every benchmark its fair share, " : ""}each problem whole.`;
    byId("sampled").hidden = false;
  }
  for (const [keys, meaning] of KEYS) byId("keys").append(el("dt", {}, ...keys.map((key) => el("kbd", {}, key))), el("dd", {}, meaning));
  for (const [word, meaning] of MEANINGS) byId("meanings").append(el("dt", {}, word), el("dd", {}, meaning));
  readAddress();
  buildControls();
  listen();
  update();
  if (!opened() && matchMedia("(min-width: 60rem)").matches && listed.length) open(listed[0]);
  else if (opened()) scrollToRow(opened());
  byId("list").focus({ preventScroll: true });
  readAhead();
  performance.mark("ready");
}

start();
