// Keys: / goes to the filter, Escape clears it, n and p go to the next and the previous failure.
"use strict";
let place = -1;
function goToFailure(step) {
  const failures = [...document.querySelectorAll('.scenario[data-verdict="fail"]')].filter((row) => !row.hidden);
  if (!failures.length) return;
  place = (place + step + failures.length) % failures.length;
  show(failures[place]);
}
document.addEventListener("keydown", (event) => {
  const field = document.activeElement.closest("input, select, textarea");
  const input = document.querySelector(".filter input");
  if (event.ctrlKey || event.metaKey || event.altKey || !input) return;
  if (event.key === "Escape" && field === input) {
    input.value = "";
    input.dispatchEvent(new Event("input", { bubbles: true }));
    input.blur();
  } else if (!field && event.key === "/") {
    event.preventDefault();
    input.focus();
  } else if (!field && event.key === "n") goToFailure(1);
  else if (!field && event.key === "p") goToFailure(-1);
});
