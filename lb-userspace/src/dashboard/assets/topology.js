// The drawing: clients, VIPs, backends, and what flows between them.

import { draw, endpoint, rate } from "./format.js";

export const MOST_SERVICES = 8;
const MOST_BACKENDS = 12;
/** Rows of the whole drawing: with many services each shows fewer backends. */
const MOST_ROWS = 24;
const BOX = 40;
const GAP = 12;
const LINE = 18;

/** Draws services with their backends; `rates` are per second. */
export function topology(into, services, rates) {
  const width = Math.max(300, into.clientWidth);
  const shown = services.slice(0, MOST_SERVICES);
  const narrow = width < 620;
  const column = narrow ? Math.floor((width - 2 * 28 - 30) / 2) : 230;
  const [client, vip, backend] = narrow
    ? [{ x: 0, w: 30 }, { x: 58, w: column }, { x: width - column, w: column }]
    : [{ x: 0, w: 130 }, { x: (width - column) / 2, w: column }, { x: width - column, w: column }];
  const svg = draw("svg", { role: "img", "aria-label": "Clients, services and backends with their rates" });
  const [links, boxes] = [draw("g", {}), draw("g", {})];
  svg.append(links, boxes);
  const most = Math.min(MOST_BACKENDS, Math.max(2, Math.floor(MOST_ROWS / Math.max(1, shown.length))));
  const busiest = Math.max(1, ...shown.map((service) => rates.of(`${service.name}|packets_in`)));
  const middles = [];
  let y = 0;
  for (const service of shown) {
    const backends = troubleFirst(service.backends).slice(0, most);
    const others = service.backends.length - backends.length;
    const height = Math.max(1, backends.length) * (BOX + GAP) + (others > 0 ? LINE : 0);
    const middle = y + height / 2;
    middles.push([service, middle]);
    box(boxes, vip, middle, service.name, rates.of(`${service.name}|packets_in`), ofService(service), endpoint(service.address, service.port));
    backends.forEach((one, index) => {
      const at = y + index * (BOX + GAP) + (BOX + GAP) / 2;
      const flowing = rates.of(`${service.name}/${one.name}|packets_in`);
      box(boxes, backend, at, one.name, flowing, ofBackend(one), endpoint(one.address, one.port));
      link(links, vip.x + vip.w, middle, backend.x, at, flowing, busiest, one.effective === "down");
    });
    if (others > 0) {
      boxes.append(draw("text", { class: "rate", x: backend.x + 8, y: y + height - LINE + 8 }, `and ${others} more`));
    }
    y += height + GAP;
  }
  const all = Math.max(y - GAP, BOX + GAP);
  box(boxes, client, all / 2, "Clients", rates.of("|packets_in"), "", "");
  for (const [service, middle] of middles) {
    link(links, client.x + client.w, all / 2, vip.x, middle, rates.of(`${service.name}|packets_in`), busiest, false);
  }
  svg.setAttribute("viewBox", `0 0 ${width} ${all}`);
  svg.setAttribute("height", all);
  into.replaceChildren(svg);
}

function box(into, { x, w }, middle, name, flowing, mark, address) {
  const top = middle - BOX / 2;
  into.append(draw("rect", { class: `box ${mark}`, x: x + 0.5, y: top, width: w - 1, height: BOX, rx: 7 }));
  if (w < 60) return void into.append(draw("text", { x: x + w / 2, y: middle + 4, "text-anchor": "middle" }, "all"));
  const letters = Math.floor((w - 14) / 7);
  const label = draw("text", { x: x + 8, y: middle - 3 }, cut(name, letters));
  label.append(draw("title", {}, address ? `${name}, ${address}` : name));
  into.append(label, draw("text", { class: "rate", x: x + 8, y: middle + 13 }, `${rate(flowing, " packets")}`));
}

function link(into, x1, y1, x2, y2, flowing, busiest, broken) {
  const half = (x1 + x2) / 2;
  const idle = flowing < 0.05;
  into.append(
    draw("path", {
      class: `link${idle ? " idle" : ""}${broken ? " bad" : ""}`,
      d: `M${x1} ${y1}C${half} ${y1} ${half} ${y2} ${x2} ${y2}`,
      "stroke-width": idle ? 1 : (1.5 + 8 * Math.sqrt(Math.min(1, flowing / busiest))).toFixed(1),
    }),
  );
}

function cut(text, letters) {
  return text.length > letters ? `${text.slice(0, Math.max(1, letters - 1))}…` : text;
}

/** Backends with those that do not take flows first, else in their order. */
function troubleFirst(backends) {
  const isFine = (backend) => ofBackend(backend) === "good";
  return [...backends].sort((one, other) => isFine(one) - isFine(other));
}

/** How a backend is marked. */
export function ofBackend({ effective, suspect }) {
  if (effective === "active") return suspect ? "warn" : "good";
  return effective === "down" ? "bad" : "warn";
}

/** How a service is marked. */
export function ofService({ condition, backends }) {
  if (condition === "panic" || !backends.some((backend) => backend.effective === "active")) return "bad";
  return condition === "backup" || backends.some((backend) => backend.effective === "down") ? "warn" : "good";
}
