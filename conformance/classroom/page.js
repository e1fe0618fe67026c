"use strict";
// What the page does: sort, filter, and open a server or a requirement. All text is set as text, never as markup.
(() => {
  const data = JSON.parse(document.getElementById("class").textContent);
  const ROW = 28; // pixels, as in the style
  const SPARE = 12; // rows that are drawn above and below what is seen
  const MOST_CAUSES = 8;
  const MARKS = data.marks;
  const STATES = data.states;
  const WORTH = { m: 4, p: 3, n: 1, s: 0, x: 2 };
  const say = (text, values = {}) => {
    const found = data.words[text];
    const template = Array.isArray(found) ? found[values.count === 1 ? 0 : 1] : found;
    return template.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
  };
  const find = (id) => document.getElementById(id);
  const body = find("matrix").tBodies[0];
  const state = { sort: "order", isDown: false, cause: "", chosen: -1, opened: "" };
  const servers = data.servers.map((server, order) => ({ ...server, order }));
  const titles = new Map(data.causes.map((cause) => [cause.id, cause.title]));
  const cache = new Map();
  let shown = servers;

  const details = (order) => {
    if (!cache.has(order)) cache.set(order, JSON.parse(find(`server-${order}`).textContent));
    return cache.get(order);
  };
  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  };

  // --- The matrix ------------------------------------------------------------------------------
  const share = (text) => { const [met, of] = text.split("/").map(Number); return of ? met / of : -1; };
  const KEYS = {
    order: (server) => server.order,
    name: (server) => server.name.toLowerCase(),
    outcome: (server) => server.outcome,
    grade: (server) => (server.grade === null ? -1 : server.grade),
    must: (server) => share(server.must),
    should: (server) => share(server.should),
    causes: (server) => server.causes.length,
    print: (server) => server.print.padStart(4),
  };
  const keyOf = (sort) => KEYS[sort] || ((server) => WORTH[server.cells[Number(sort)]]);

  const matches = (server, words) => {
    const text = [server.name, server.outcome, server.print, ...server.causes, ...server.causes.map((id) => titles.get(id))].join(" ").toLowerCase();
    return words.every((word) => {
      const rule = data.rules.findIndex((row) => row.id.toLowerCase() === word);
      return rule >= 0 ? "pns".includes(server.cells[rule]) : text.includes(word);
    });
  };
  const refresh = () => {
    const words = find("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const key = keyOf(state.sort);
    shown = servers.filter((server) => matches(server, words) && (!state.cause || server.causes.includes(state.cause)));
    shown.sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      return (x < y ? -1 : x > y ? 1 : 0) * (state.isDown ? -1 : 1) || a.order - b.order;
    });
    state.chosen = -1;
    find("count").textContent = shown.length === servers.length ? say("{count} servers", { count: servers.length }) : say("{count} of {total} servers", { count: shown.length, total: servers.length });
    find("clear").hidden = shown.length === servers.length;
    for (const button of document.querySelectorAll("#cause-list button")) button.setAttribute("aria-pressed", String(button.dataset.cause === state.cause));
    for (const head of document.querySelectorAll("#matrix th[data-sort]")) {
      head.setAttribute("aria-sort", head.dataset.sort === state.sort ? (state.isDown ? "descending" : "ascending") : "none");
    }
    draw(true);
  };
  let drawn = "";
  const draw = (isForced, isWhole = false) => {
    const view = find("scroll");
    const first = isWhole ? 0 : Math.max(0, Math.floor(view.scrollTop / ROW) - SPARE);
    const last = isWhole ? shown.length : Math.min(shown.length, Math.ceil((view.scrollTop + Math.max(view.clientHeight, innerHeight)) / ROW) + SPARE);
    if (!isForced && drawn === `${first}-${last}`) return;
    drawn = `${first}-${last}`;
    const space = (rows) => { const row = make("tr", { class: "space", "aria-hidden": "true" }, make("td")); row.firstChild.style.height = `${rows * ROW}px`; return row; };
    const rows = shown.slice(first, last).map((server, count) => rowOf(server, first + count));
    body.replaceChildren(...(first ? [space(first)] : []), ...rows, ...(last < shown.length ? [space(shown.length - last)] : []));
  };
  const rowOf = (server, place) => {
    const grade = server.grade === null ? "–" : String(server.grade);
    const row = make("tr", { "data-place": place, "aria-selected": String(place === state.chosen) },
      make("th", { scope: "row", class: "name", title: server.name }, server.name),
      make("td", { class: `outcome ${server.tone}` }, server.outcome),
      make("td", { class: "grade" }, grade),
      make("td", {}, server.must), make("td", {}, server.should),
      make("td", {}, String(server.causes.length)), make("td", {}, server.print));
    let chapter = "";
    [...server.cells].forEach((cell, count) => {
      const rule = data.rules[count];
      const isFirst = rule.chapter !== chapter;
      chapter = rule.chapter;
      row.append(make("td", { class: `cell ${cell}${isFirst ? " first" : ""}`, title: `${rule.id} ${STATES[cell]}`, "data-rule": rule.id }, MARKS[cell]));
    });
    return row;
  };
  const head = () => {
    const chapters = [];
    for (const rule of data.rules) {
      if (chapters.length && chapters[chapters.length - 1][0] === rule.chapter) chapters[chapters.length - 1][1] += 1;
      else chapters.push([rule.chapter, 1]);
    }
    const sorted = (name, text) => make("th", { scope: "col", "data-sort": name, class: name === "name" ? "name" : "" }, make("button", { type: "button", onclick: () => sortBy(name) }, text));
    find("matrix").tHead.append(
      make("tr", {}, make("td", { class: "name blank" }), make("td", { colspan: 6, class: "blank" }), ...chapters.map(([name, count]) => make("th", { colspan: count, scope: "colgroup", title: name }, name))),
      make("tr", {}, sorted("name", say("server")), sorted("outcome", say("outcome")), sorted("grade", `${say("grade")}${servers.length ? ` /${servers[0].of}` : ""}`),
        sorted("must", "MUST"), sorted("should", "SHOULD"), sorted("causes", say("causes")), sorted("print", say("choices")),
        ...data.rules.map((rule, count) => make("th", { scope: "col", "data-sort": String(count), class: `rule ${rule.level.toLowerCase()}`, title: `${rule.id} ${rule.level}: ${rule.text}` },
          make("button", { type: "button", "aria-label": `${rule.id}, ${rule.level}`, onclick: () => openRule(rule.id) }, rule.id.replace("HFTP-", ""))))));
  };
  const sortBy = (name) => {
    state.isDown = state.sort === name ? !state.isDown : !["name", "outcome", "print"].includes(name);
    state.sort = name;
    refresh();
  };
  const choose = (place) => {
    if (!shown.length) return;
    state.chosen = Math.max(0, Math.min(shown.length - 1, place));
    const view = find("scroll");
    const top = state.chosen * ROW;
    const height = view.clientHeight - find("matrix").tHead.offsetHeight;
    if (top < view.scrollTop) view.scrollTop = top;
    else if (top + ROW > view.scrollTop + height) view.scrollTop = top + ROW - height;
    draw(true);
    if (state.opened.startsWith("server:")) openServer(shown[state.chosen].order);
  };

  // --- The causes and the choices --------------------------------------------------------------
  const listCauses = (most) => {
    find("causes").hidden = !data.causes.length;
    find("cause-list").replaceChildren(...data.causes.slice(0, most).map((cause) => {
      const button = make("button", { type: "button", "data-cause": cause.id, "aria-pressed": "false", class: cause.severity.replace(" ", "-"), title: cause.why,
        onclick: () => { state.cause = state.cause === cause.id ? "" : cause.id; refresh(); } },
        make("b", {}, say("{count} of {total}", { count: cause.servers.length, total: servers.length })), make("span", { class: "severity" }, cause.severityName), make("span", { class: "title" }, cause.title));
      button.style.setProperty("--share", `${(100 * cause.servers.length) / servers.length}%`);
      return make("li", {}, button);
    }));
    find("more-causes").hidden = data.causes.length <= most;
    find("more-causes").textContent = say("{count} more causes", { count: data.causes.length - most });
  };
  const listChoices = () => {
    find("choices").hidden = !data.choices.length;
    const known = new Map(data.scenarios);
    find("choice-list").replaceChildren(...data.choices.map((choice) => make("details", {},
      make("summary", {}, (known.get(choice.scenario) || ["", choice.scenario])[1], " ", make("span", { class: "quiet small" }, say("{count} ways", { count: choice.ways.length }))),
      make("ul", {}, ...choice.ways.sort((a, b) => b[1].length - a[1].length).map(([what, who]) => make("li", {}, make("code", {}, what), ` ${who.length}: `, make("span", { class: "quiet small" }, who.join(", "))))))));
  };

  // --- The panel -------------------------------------------------------------------------------
  const open = (name, ...children) => {
    state.opened = name;
    find("content").replaceChildren(...children.filter(Boolean));
    find("panel").hidden = false;
    find("panel").scrollTop = 0;
    history.replaceState(null, "", `#${name}`);
  };
  const close = () => { find("panel").hidden = true; state.opened = ""; history.replaceState(null, "", "#"); find("scroll").focus(); };
  const openAddressed = () => {
    const [kind, which] = decodeURIComponent(location.hash.slice(1)).split(":");
    if (kind === "server" && servers[Number(which)]) openServer(Number(which));
    else if (kind === "rule" && data.rules.some((rule) => rule.id === which)) openRule(which);
  };
  const evidence = (scenario, verdict, facts) => make("article", { class: `card ${verdict}` },
    make("b", {}, data.scenarios[scenario][1][1]), " ", make("span", { class: "mono quiet" }, data.scenarios[scenario][0]),
    make("dl", {}, ...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, make("code", {}, value))])));
  const folded = (title, ...children) => make("details", {}, make("summary", {}, title), ...children);

  const openServer = (order, rule) => {
    const server = servers[order];
    const found = details(order);
    const byRule = new Map();
    for (const failure of found.failures) {
      const id = data.scenarios[failure[0]][1][0];
      byRule.set(id, [...(byRule.get(id) || []), failure]);
    }
    const texts = new Map(data.rules.map((row) => [row.id, row]));
    open(`server:${order}`,
      make("h2", {}, server.name),
      make("p", { class: "summary" }, `${server.outcome}. ${server.summary}`),
      make("p", { class: "quiet small" }, [say("dialect {dialect}", { dialect: server.dialect }), `${server.seconds} s`, say("{count} scenarios passed", { count: found.passed }), say("{count} failed", { count: found.failures.length })].join(" · ")),
      ...found.problems.map((text) => make("p", { class: "card error" }, text)),
      found.output && found.problems.length ? folded(say("What it printed last"), make("pre", {}, found.output)) : null,
      server.causes.length ? make("h3", {}, say("What is wrong")) : null,
      ...data.causes.filter((cause) => server.causes.includes(cause.id)).map((cause) => make("article", { class: `card ${cause.severity.replace(" ", "-")}` },
        make("b", {}, cause.title), " ", make("span", { class: "quiet small" }, cause.severityName), make("p", {}, cause.why), make("p", {}, cause.fix))),
      ...found.deductions.map(([title, points]) => make("p", { class: "card" }, make("span", { class: "points" }, `−${points}`), title)),
      found.lines.length ? make("h3", {}, say("Where points were lost")) : null,
      ...found.lines.map(([id, how, earned, possible, reason]) => make("article", { class: `card ${how === "p" ? "warn" : "fail"}`, "data-line": id },
        make("span", { class: "points" }, `${earned}/${possible}`), make("button", { type: "button", class: "link", onclick: () => openRule(id) }, id), ` ${texts.get(id).level}, ${STATES[how]}: ${reason}.`,
        make("p", { class: "small" }, texts.get(id).text),
        byRule.has(id) ? folded(say("{count} failed", { count: byRule.get(id).length }), ...byRule.get(id).map((failure) => evidence(...failure))) : "")),
      found.others.length ? folded(say("{count} scenarios showed nothing", { count: found.others.length }), make("ul", {}, ...found.others.map(([scenario, verdict, why]) => make("li", { class: "small" }, make("span", { class: "mono" }, data.scenarios[scenario][0]), ` ${verdict}: ${why}`)))) : null,
      found.command ? folded(say("How to repeat the run"), make("pre", {}, found.command)) : null);
    const line = rule && find("content").querySelector(`[data-line="${CSS.escape(rule)}"]`);
    if (line) { const fold = line.querySelector("details"); if (fold) fold.open = true; line.scrollIntoView({ block: "center" }); }
  };
  const openRule = (id) => {
    const place = data.rules.findIndex((row) => row.id === id);
    const rule = data.rules[place];
    const having = (cell) => servers.filter((server) => server.cells[place] === cell);
    const ways = new Map();
    const scenarios = new Map();
    for (const server of servers) {
      if (!"pn".includes(server.cells[place])) continue;
      const failures = details(server.order).failures.filter(([scenario]) => data.scenarios[scenario][1][0] === id);
      for (const [scenario] of failures) scenarios.set(scenario, [...(scenarios.get(scenario) || []), server]);
      if (failures.length) {
        const facts = new Map(failures[0][2]);
        const how = say("{scenario}: expected {expected}, got {got}", { scenario: data.scenarios[failures[0][0]][0], expected: facts.get(say("expected")), got: facts.get(say("got")) });
        ways.set(how, [...(ways.get(how) || []), server]);
      }
    }
    const named = (list) => make("span", {}, ...list.flatMap((server, count) => [count ? ", " : "", make("button", { type: "button", class: "link", onclick: () => openServer(server.order, id) }, server.name)]));
    const most = (map) => [...map].sort((a, b) => b[1].length - a[1].length);
    open(`rule:${id}`,
      make("h2", {}, `${id} ${rule.level}`), make("p", {}, rule.text),
      make("p", { class: "quiet" }, "mpnsx".split("").map((cell) => `${having(cell).length} ${STATES[cell]}`).join(", ")),
      make("p", {}, make("button", { type: "button", onclick: () => { sortBy(String(place)); state.isDown = false; refresh(); } }, say("Sort the servers by this")), " ",
        make("button", { type: "button", onclick: () => { find("filter").value = id; refresh(); } }, say("Show only who differs"))),
      ways.size ? make("h3", {}, say("Who differs, and how")) : make("p", {}, say("No server fails it.")),
      ...most(ways).map(([how, list]) => make("article", { class: "card fail" }, make("b", {}, String(list.length)), " ", make("code", {}, how), make("p", { class: "small" }, named(list)))),
      scenarios.size ? make("h3", {}, say("By scenario")) : null,
      ...most(scenarios).map(([scenario, list]) => make("article", { class: "card" }, make("b", {}, say("{count} fail", { count: list.length })), ` ${data.scenarios[scenario][1][1]} `, make("span", { class: "mono quiet" }, data.scenarios[scenario][0]), make("p", { class: "small" }, named(list)))),
      having("s").length ? make("h3", {}, say("Not shown, since something simpler failed")) : null,
      having("s").length ? make("p", { class: "small" }, named(having("s"))) : null);
  };

  // --- Events ----------------------------------------------------------------------------------
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-place]");
    if (!row) return;
    const cell = event.target.closest("td[data-rule]");
    state.chosen = Number(row.dataset.place);
    draw(true);
    openServer(shown[state.chosen].order, cell ? cell.dataset.rule : "");
  });
  let isWaiting = false;
  find("scroll").addEventListener("scroll", () => {
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(() => { isWaiting = false; draw(false); });
  });
  find("filter").addEventListener("input", refresh);
  find("clear").addEventListener("click", () => { find("filter").value = ""; state.cause = ""; refresh(); });
  find("close").addEventListener("click", close);
  find("more-causes").addEventListener("click", () => { listCauses(data.causes.length); refresh(); });
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const isTyping = event.target instanceof HTMLInputElement;
    if (event.key === "Escape") {
      if (!find("panel").hidden) close();
      else { find("filter").value = ""; state.cause = ""; refresh(); }
    } else if (event.key === "/" && !isTyping) find("filter").focus();
    else if (event.key === "ArrowDown" || (event.key === "j" && !isTyping)) choose(state.chosen + 1);
    else if (event.key === "ArrowUp" || (event.key === "k" && !isTyping)) choose(state.chosen - 1);
    else if (event.key === "Enter" && state.chosen >= 0 && !(event.target instanceof HTMLButtonElement)) openServer(shown[state.chosen].order);
    else return;
    event.preventDefault();
  });
  addEventListener("beforeprint", () => draw(true, true));
  addEventListener("afterprint", () => draw(true));

  find("servers").hidden = false;
  head();
  listCauses(MOST_CAUSES);
  listChoices();
  refresh();
  openAddressed();
  addEventListener("hashchange", openAddressed);
})();
