// What is shown, and how it keeps up.

import { charts } from "./charts.js";
import { endpoint, make, rate, short, show, span } from "./format.js";
import { Rates, counters } from "./rates.js";
import { MOST_SERVICES, ofBackend, ofService, topology } from "./topology.js";

const EVERY = 1000;
const HISTORY_EVERY = 5000;
const STALE_AFTER = 3500;
const MOST_EVENTS = 200;
const MOST_ROWS = 80;

const rates = new Rates();
const at = (id) => document.getElementById(id);
let chosen = null;
let last = 0;

async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(10_000), cache: "no-store" });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error?.message ?? `${path}: ${answer.status}`);
  return body;
}

/** Asks again and again, never twice at once. */
async function keep(every, work) {
  for (;;) {
    const begin = performance.now();
    if (!document.hidden) {
      try {
        await work();
      } catch (error) {
        tell(String(error.message ?? error));
      }
    }
    await new Promise((wake) => setTimeout(wake, Math.max(50, every - (performance.now() - begin))));
  }
}

async function overview() {
  const wanted = at("search").value.trim();
  const seen = await ask(`/v1/overview?limit=50${wanted ? `&matching=${encodeURIComponent(wanted)}` : ""}`);
  rates.record(seen.milliseconds, counters(seen));
  last = performance.now();
  head(seen);
  tiles(seen);
  topology(at("topology"), seen.services, rates);
  show(at("more"), left(seen, wanted));
  services(seen);
  reasons(seen);
  routers(seen.virtual_routers);
}

/** What the drawing does not have. */
function left({ services, more }, wanted) {
  if (services.length === 0) return wanted ? "No service has this in its name." : "There are no services yet: lbctl service add";
  const others = services.length + more - MOST_SERVICES;
  return others > 0 ? `and ${others} more services; name a part of what you look for.` : "";
}

function head({ status }) {
  show(at("version"), status.version);
  show(at("uptime"), `up for ${span(status.uptime_seconds)}`);
  const panic = status.panic ?? [];
  const trouble = status.problem ?? (panic.length > 0 ? `in panic: ${panic.join(", ")}` : null);
  tell(trouble);
  const down = status.backends.down;
  mark(trouble ? "bad" : down > 0 ? "warn" : "good", trouble ? "trouble" : down > 0 ? `${down} down` : "all well");
}

function mark(className, text) {
  const pill = at("condition");
  pill.className = `pill ${className}`;
  show(pill, text);
}

function tell(problem) {
  at("problem").hidden = !problem;
  show(at("problem"), problem ?? "");
}

function tiles({ status, totals, dropped }) {
  show(at("packets_in"), rate(rates.of("|packets_in"), ""), totals.packets_in);
  show(at("bits_in"), rate(rates.of("|bytes_in") * 8, "b"), totals.bytes_in);
  show(at("bits_out"), rate(rates.of("|bytes_out") * 8, "b"), totals.bytes_out);
  show(at("flows"), rate(rates.of("|flows"), ""), totals.flows);
  show(at("active_flows"), short(status.flows), status.flows);
  show(at("drops"), rate(rates.of("drops"), ""), dropped);
  const { active, draining, down, disabled } = status.backends;
  show(at("backends"), `${active} of ${active + draining + down + disabled}`, active);
}

function services({ services, flows }) {
  const active = new Map(flows.map((row) => [`${row.service}/${row.backend}`, row.established + row.embryonic]));
  const rows = [];
  const all = services.reduce((sum, service) => sum + service.backends.length, 0) <= MOST_ROWS;
  for (const service of services) {
    const own = service.backends.map((backend) => active.get(`${service.name}/${backend.name}`) ?? 0);
    const sum = own.reduce((total, count) => total + count, 0);
    const where = `${endpoint(service.address, service.port)}/${service.protocol}`;
    const row = line("service", service.name, where, ofService(service), service.condition, service.name, sum);
    row.tabIndex = 0;
    row.setAttribute("aria-pressed", String(chosen === service.name));
    if (chosen === service.name) row.classList.add("chosen");
    row.dataset.service = service.name;
    rows.push(row);
    const open = all || chosen === service.name;
    const shown = new Set(open ? service.backends : service.backends.filter((backend) => ofBackend(backend) !== "good"));
    const others = service.backends.length - shown.size;
    service.backends.forEach((backend, index) => {
      if (!shown.has(backend)) return;
      const key = `${service.name}/${backend.name}`;
      const why = backend.suspect ? `suspect: ${backend.suspect}` : (backend.reason ?? "");
      const where = endpoint(backend.address, backend.port);
      rows.push(line("backend", backend.name, where, ofBackend(backend), backend.effective, key, own[index], why));
    });
    if (others > 0) {
      const more = empty(7, `${others} active; choose the service to see them`);
      more.classList.add("backend");
      rows.push(more);
    }
  }
  if (rows.length === 0) rows.push(empty(7, "no services"));
  const focused = document.activeElement?.dataset?.service;
  const body = at("services").tBodies[0];
  body.replaceChildren(...rows);
  if (focused) [...body.rows].find((row) => row.dataset.service === focused)?.focus();
}

function line(className, name, where, colour, state, key, active, why = "") {
  const cell = make("td", colour, state);
  if (why) cell.append(make("small", "", why));
  const figures = [
    short(rates.of(`${key}|packets_in`)),
    short((rates.of(`${key}|bytes_in`) + rates.of(`${key}|bytes_out`)) * 8),
    short(rates.of(`${key}|flows`)),
    short(active),
  ];
  const cells = figures.map((text) => make("td", "n", text));
  cells[3].dataset.value = active;
  const row = make("tr", className, undefined, [make("td", "", name), make("td", "", where), cell, ...cells]);
  row.dataset.key = key;
  row.dataset.state = state;
  return row;
}

function reasons({ drops }) {
  const rows = drops.map((drop) => {
    const name = make("td", "", drop.reason, [make("small", "", drop.description)]);
    const count = make("td", "n", String(drop.packets));
    const row = make("tr", "", undefined, [name, make("td", "n", short(rates.of(`drop ${drop.reason}`))), count]);
    row.dataset.reason = drop.reason;
    return row;
  });
  at("reasons").tBodies[0].replaceChildren(...(rows.length > 0 ? rows : [empty(3, "nothing was dropped")]));
}

function empty(columns, text) {
  const cell = make("td", "quiet", text);
  cell.colSpan = columns;
  return make("tr", "", undefined, [cell]);
}

function routers(list) {
  at("vrrp").hidden = list.length === 0;
  const colours = { active: "good", backup: "", fault: "bad", initialize: "warn" };
  const rows = list.map((router) => {
    const other = router.active_router ? `${router.active_router} (${router.active_priority})` : "";
    const cells = [
      make("td", "", router.name, [make("small", "", `${router.interface}, id ${router.virtual_router_id}`)]),
      make("td", colours[router.state] ?? "", router.state),
      make("td", "n", String(router.priority)),
      make("td", "", router.state === "active" ? "this one" : other),
      make("td", "", router.virtual_addresses.join(", ")),
    ];
    const row = make("tr", "", undefined, cells);
    row.dataset.state = router.state;
    return row;
  });
  at("vrrp").querySelector("tbody").replaceChildren(...rows);
}

async function history() {
  const of = chosen === null ? "" : `?service=${encodeURIComponent(chosen)}`;
  charts(at("charts"), await ask(`/v1/history${of}`), chosen === null);
}

function choose(service) {
  chosen = chosen === service ? null : service;
  show(at("charted"), chosen ?? "all services");
  for (const row of at("services").tBodies[0].rows) row.classList.toggle("chosen", row.dataset.service === chosen && chosen !== null);
  history().catch((error) => tell(String(error.message ?? error)));
}

function event(happened) {
  const facts = Object.entries(happened.attributes).map(([name, value]) => `${name}=${value}`);
  const when = new Date(happened.time);
  const stamp = make("time", "", when.toLocaleTimeString());
  stamp.dateTime = happened.time;
  stamp.title = happened.time;
  const { to } = happened.attributes;
  const colour = ["down", "fault", "panic"].includes(to) ? "bad" : ["up", "active", "normal"].includes(to) ? "good" : "";
  const kind = make("b", colour, happened.kind);
  const item = make("li", "", undefined, [stamp, kind, make("span", "facts", ` ${facts.join(" ")}`)]);
  item.dataset.sequence = happened.sequence;
  return item;
}

async function feed() {
  const list = at("events");
  const add = (item) => {
    list.prepend(item);
    while (list.children.length > MOST_EVENTS) list.lastChild.remove();
  };
  const past = await ask("/v1/events?limit=50");
  past.events.forEach((happened) => add(event(happened)));
  let after = past.last;
  for (;;) {
    try {
      // Not an EventSource, which has to be told the name of every kind of event.
      for await (const message of messages(`/v1/events?after=${after}`)) {
        if (message.event === "lost") {
          add(make("li", "quiet", "events were lost: this page was away for too long"));
        } else if (message.data) {
          const happened = JSON.parse(message.data);
          after = happened.sequence;
          add(event(happened));
        }
      }
    } catch {
      // lbd is away, which the head of the page says.
    }
    await new Promise((wake) => setTimeout(wake, 1000));
  }
}

/** The messages of a stream of server-sent events (WHATWG HTML, section 9.2.6). */
async function* messages(path) {
  const answer = await fetch(path, { headers: { accept: "text/event-stream" }, cache: "no-store" });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const parts = text.split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const lines = part.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trimStart()]);
      yield Object.fromEntries(lines);
    }
  }
}

/** Follows the system's colours unless somebody chose others. */
function theme() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const order = ["system", "dark", "light"];
  const button = at("theme");
  let wanted = order.includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : "system";
  const apply = () => {
    document.documentElement.dataset.theme = wanted === "system" ? (system.matches ? "dark" : "light") : wanted;
    show(button.lastElementChild, wanted);
  };
  button.addEventListener("click", () => {
    wanted = order[(order.indexOf(wanted) + 1) % order.length];
    localStorage.setItem("theme", wanted);
    apply();
  });
  system.addEventListener("change", apply);
  apply();
}

function begin() {
  theme();
  const rows = at("services").tBodies[0];
  const service = (target) => target.closest("tr.service")?.dataset.service;
  rows.addEventListener("click", ({ target }) => service(target) && choose(service(target)));
  rows.addEventListener("keydown", (press) => {
    if (["Enter", " "].includes(press.key) && service(press.target)) {
      press.preventDefault();
      choose(service(press.target));
    }
  });
  setInterval(() => {
    if (performance.now() - last > STALE_AFTER && !document.hidden) mark("bad", "no answer from lbd");
  }, 500);
  keep(EVERY, overview);
  keep(HISTORY_EVERY, history);
  feed().catch((error) => tell(String(error.message ?? error)));
}

begin();
