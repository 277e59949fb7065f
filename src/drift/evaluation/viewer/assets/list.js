// The list: only the rows in sight are in the document, however many there are.

const SPARE_ROWS = 8;
let listed = [];
let rowHeight = 0;

const dots = (verdicts) => el("span", { class: "dots", title: [...verdicts].map((letter) => VERDICTS[letter]).join(", ") },
  ...[...verdicts].map((letter) => el("i", { class: `dot ${VERDICTS[letter]}` })));

function rowView(row, position) {
  const title = el("span", { class: "excerpt", dir: "auto" });
  appendText(title, row.problem.text, page.formulas, 160);
  const facts = [benchmarks.length > 1 ? row.problem.benchmark : null, row.problem.id, policies.length > 1 ? row.policy : null,
    rowsOfProblem.get(row.problem.id).length > policies.length ? `#${row.trajectory}` : null];
  const view = el("div", {
    id: `row-${row.number}`, class: "row", role: "option", "data-number": row.number, "data-example": row.example,
    "aria-selected": String(row.key === state.open), "aria-posinset": position + 1, "aria-setsize": listed.length,
  },
  title, dots(row.verdicts),
  el("span", { class: "facts" }, ...facts.filter(Boolean).flatMap((fact, index) => (index ? [" · ", fact] : [fact]))),
  el("span", { class: "numbers" },
    row.example && row.example !== "kept" ? el("em", {}, row.example) : null,
    row.weight !== null && row.example === "kept" ? el("span", { title: "Weight" }, `w ${number(row.weight)}`) : null,
    el("span", { title: "Return" }, `R ${returnText(row.return)}`)));
  view.style.transform = `translateY(${position * rowHeight}px)`;
  return view;
}

function drawRows() {
  const list = byId("list");
  const first = Math.max(0, Math.floor(list.scrollTop / rowHeight) - SPARE_ROWS);
  const last = Math.min(listed.length, Math.ceil((list.scrollTop + list.clientHeight) / rowHeight) + SPARE_ROWS);
  byId("rows").replaceChildren(...listed.slice(first, last).map((row, index) => rowView(row, first + index)));
  const open = listed.some((row) => row.key === state.open) ? rowOfKey.get(state.open) : null;
  if (open && byId(`row-${open.number}`)) list.setAttribute("aria-activedescendant", `row-${open.number}`);
  else list.removeAttribute("aria-activedescendant");
}

function showList(found) {
  listed = found;
  // Rows are as high as the reader's font makes them.
  rowHeight = parseFloat(getComputedStyle(byId("list")).getPropertyValue("--row")) * parseFloat(getComputedStyle(document.documentElement).fontSize);
  byId("rows").style.height = `${listed.length * rowHeight}px`;
  byId("list").hidden = listed.length === 0;
  byId("none").hidden = listed.length > 0;
  const count = (value) => value.toLocaleString("en");
  byId("count").textContent = listed.length === rows.length ? `${count(rows.length)} conversations` : `${count(listed.length)} of ${count(rows.length)}`;
  byId("clear").hidden = !isFiltered();
  drawRows();
}

// Scrolls no further than needed.
function scrollToRow(row) {
  const list = byId("list");
  const position = listed.indexOf(row);
  if (position < 0) return;
  const top = position * rowHeight;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + rowHeight > list.scrollTop + list.clientHeight) list.scrollTop = top + rowHeight - list.clientHeight;
}
