// The filter hides requirements and scenarios that lack a word, or have another result, and opens the chapters of the others.
"use strict";
const ROWS = ".requirements tbody tr, .scenario";
function filterRun(run, form) {
  const words = form.querySelector("input").value.toLowerCase().split(/\s+/).filter(Boolean);
  const verdicts = form.querySelector("select").value.split(" ").filter(Boolean);
  const isActive = words.length + verdicts.length > 0;
  let requirements = 0, scenarios = 0;
  for (const row of run.querySelectorAll(ROWS)) {
    row.searched ??= row.textContent.toLowerCase();
    const matches = words.every((word) => row.searched.includes(word));
    row.hidden = !matches || (verdicts.length > 0 && !verdicts.includes(row.dataset.verdict));
    if (!row.hidden) row.matches("tr") ? requirements++ : scenarios++;
  }
  for (const chapter of run.querySelectorAll(".chapter:has(.requirements), .chapter:has(.scenario)")) {
    chapter.wasOpen ??= chapter.open;
    const isEmpty = !chapter.querySelector(".requirements tbody tr:not([hidden]), .scenario:not([hidden])");
    chapter.hidden = isEmpty;
    chapter.open = isActive ? !isEmpty : chapter.wasOpen;
    if (!isActive) chapter.wasOpen = undefined;
  }
  const output = form.querySelector("output");
  output.value = isActive
    ? output.dataset.text.replace("{requirements}", requirements).replace("{scenarios}", scenarios)
    : "";
}
for (const run of document.querySelectorAll(".run")) {
  const form = run.querySelector(".filter");
  if (!form) continue;
  form.hidden = false;
  form.addEventListener("input", () => filterRun(run, form));
  form.addEventListener("submit", (event) => event.preventDefault());
}
