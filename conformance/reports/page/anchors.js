// A link to a requirement or a scenario opens all that it is folded into, and itself.
"use strict";
function show(target) {
  for (let node = target; node; node = node.parentElement) {
    if (node instanceof HTMLDetailsElement) node.open = true;
    if (node.hidden) node.hidden = false;
  }
  if (target.matches("tr")) for (const folded of target.querySelectorAll("details")) folded.open = true;
  target.scrollIntoView({ block: "center" });
  const focus = target.matches("details") ? target.querySelector("summary") : target.querySelector("a");
  if (focus) focus.focus({ preventScroll: true });
}
function followHash() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target) show(target);
}
// A phone shows the first cause only, and the others by their titles.
if (matchMedia("(max-width: 40rem)").matches) {
  for (const run of document.querySelectorAll(".run")) {
    [...run.querySelectorAll(".cause[open]")].slice(1).forEach((cause) => { cause.open = false; });
  }
}
addEventListener("hashchange", followHash);
addEventListener("DOMContentLoaded", followHash);
document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#"]');
  if (link && link.hash === location.hash) followHash(); // no hashchange follows
});
