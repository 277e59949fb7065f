// What is looked for, kept in the address after `#`, so a link brings it all back.

const INITIAL = {
  q: "", benchmark: "", policy: "", example: "", verdict: "", solved: "", min: "", max: "",
  sort: "problem", open: "", with: "", raw: "",
};
const state = { ...INITIAL };

const SORTS = {
  problem: { label: "problem", value: (row) => row.number },
  return: { label: "return", value: (row) => row.return },
  ...(hasWeights && { weight: { label: "weight", value: (row) => row.weight ?? -1 } }),
  turns: { label: "turns", value: (row) => row.turns },
};
const EXAMPLES = { kept: "trained on", pruned: "pruned", dropped: "dropped" };

const sortName = () => state.sort.replace(/^-/, "");
const descending = () => state.sort.startsWith("-");
const members = (name) => (state[name] ? state[name].split(",") : []);
const isFiltered = () => ["q", "benchmark", "policy", "example", "verdict", "solved", "min", "max"].some((name) => state[name] !== "");

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const name of Object.keys(INITIAL)) state[name] = given.get(name) ?? INITIAL[name];
  if (!Object.hasOwn(SORTS, sortName())) state.sort = INITIAL.sort;
}

function writeAddress() {
  const changed = Object.entries(state).filter(([name, value]) => value !== INITIAL[name]);
  const hash = new URLSearchParams(changed).toString();
  if (location.hash.slice(1) !== hash) history.replaceState(null, "", `#${hash}`);
}

function matches(row, words, verdicts) {
  return (
    (!state.benchmark || row.problem.benchmark === state.benchmark) &&
    (!state.policy || row.policy === state.policy) &&
    (!state.example || row.example === state.example) &&
    verdicts.every((letter) => row.verdicts.includes(letter)) &&
    (state.min === "" || (row.weight !== null && row.weight >= Number(state.min))) &&
    (state.max === "" || (row.weight !== null && row.weight <= Number(state.max))) &&
    (!words || haystack(row).includes(words))
  );
}

// The rows to list, in order, and how many there are by the turn that solved them, whatever turns are asked for.
function find() {
  const words = state.q.trim().toLowerCase();
  const verdicts = members("verdict");
  const solved = members("solved").map(Number);
  const alike = rows.filter((row) => matches(row, words, verdicts));
  const counts = Array(page.maxTurns + 1).fill(0);
  for (const row of alike) counts[row.solved] += 1;
  const found = solved.length ? alike.filter((row) => solved.includes(row.solved)) : alike;
  const { value } = SORTS[sortName()];
  const sign = descending() ? -1 : 1;
  found.sort((a, b) => sign * (value(a) - value(b)) || a.number - b.number);
  return { found, counts };
}

function toggle(name, member) {
  const now = members(name);
  state[name] = (now.includes(member) ? now.filter((other) => other !== member) : [...now, member]).sort().join(",");
}

// ---- The controls ----------------------------------------------------------------------------------------------

const SOLVED = [...Array.from({ length: page.maxTurns }, (_, turn) => turn + 1), 0];

function buildControls() {
  const options = (id, names, all) => byId(id).append(
    ...(all ? [el("option", { value: "" }, all)] : []),
    ...Object.entries(names).map(([value, label]) => el("option", { value }, label)),
  );
  const same = (names) => Object.fromEntries(names.map((name) => [name, name]));
  options("benchmark", same(benchmarks), "all");
  options("policy", same(policies), "all");
  options("example", EXAMPLES, "any");
  options("sort", Object.fromEntries(Object.entries(SORTS).map(([name, { label }]) => [name, label])));
  byId("benchmark").closest("label").hidden = benchmarks.length < 2;
  byId("policy").closest("label").hidden = policies.length < 2;
  for (const id of ["example", "low"]) byId(id).closest("label").hidden = !hasWeights;
  for (const turn of SOLVED) {
    byId("solved").append(el("button", { type: "button", class: "chip", "data-solved": turn }, turn ? `turn ${turn}` : "never", el("b", {})));
    byId("strip").append(el("span", { "data-solved": turn }));
  }
  for (const [letter, verdict] of Object.entries(VERDICTS)) {
    byId("verdict").append(el("button", { type: "button", class: "chip", "data-verdict": letter, title: `Conversations with a turn that is ${verdict}` }, el("i", { class: `dot ${verdict}` }), verdict));
  }
}

function showControls(counts) {
  const typed = { search: "q", low: "min", high: "max", benchmark: "benchmark", policy: "policy", example: "example" };
  for (const [id, name] of Object.entries(typed)) {
    if (byId(id) !== document.activeElement) byId(id).value = state[name]; // what is being typed is left alone
  }
  byId("sort").value = sortName();
  byId("direction").textContent = descending() ? "↓" : "↑";
  byId("direction").title = byId("direction").ariaLabel = descending() ? "Descending" : "Ascending";
  for (const button of byId("verdict").children) {
    button.ariaPressed = String(members("verdict").includes(button.dataset.verdict));
  }
  const most = Math.max(1, counts.reduce((sum, count) => sum + count, 0));
  for (const button of byId("solved").children) {
    button.ariaPressed = String(members("solved").includes(button.dataset.solved));
    button.lastChild.textContent = counts[button.dataset.solved].toLocaleString("en");
  }
  for (const bar of byId("strip").children) bar.style.flexGrow = counts[bar.dataset.solved] / most;
}
