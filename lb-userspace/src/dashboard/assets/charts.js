// Charts of the last hour.

import { draw, make, short } from "./format.js";

const HEIGHT = 130;
const LEFT = 46;
const BOTTOM = 18;

const CHARTS = [
  { title: "Packets per second: in, out (dashed)", series: [(h) => h.packets_in, (h) => h.packets_out] },
  { title: "Bits per second: in, out (dashed)", series: [(h) => h.bytes_in.map((b) => b * 8), (h) => h.bytes_out.map((b) => b * 8)] },
  { title: "New flows per second", series: [(h) => h.flows] },
  { title: "Active flows", series: [(h) => h.active_flows] },
  { title: "Drops per second", series: [(h) => h.drops], all: true },
];

/** Draws the charts of a history into an element; those of drops are only of all services. */
export function charts(into, history, ofAll) {
  const shown = CHARTS.filter((chart) => ofAll || !chart.all);
  into.replaceChildren(...shown.map((chart) => figure(chart, history, into.clientWidth)));
}

function figure({ title, series }, history, room) {
  const columns = Math.max(1, Math.floor(room / 368));
  const width = Math.max(220, room / columns - 16);
  const lines = series.map((values) => values(history));
  const top = niceTop(Math.max(...lines.flat(), 0));
  const svg = draw("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, height: HEIGHT, role: "img", "aria-label": title });
  const times = history.times;
  const [begin, end] = [times[0] ?? 0, times.at(-1) ?? 1];
  const x = (time) => LEFT + ((time - begin) / Math.max(1, end - begin)) * (width - LEFT - 6);
  const y = (value) => 8 + (1 - value / top) * (HEIGHT - BOTTOM - 8);
  for (const part of [0, 0.5, 1]) {
    svg.append(draw("line", { class: "grid", x1: LEFT, x2: width - 6, y1: y(top * part), y2: y(top * part) }));
    svg.append(draw("text", { class: "axis", x: LEFT - 5, y: y(top * part) + 4, "text-anchor": "end" }, short(top * part)));
  }
  if (times.length > 1) {
    svg.append(draw("text", { class: "axis", x: LEFT, y: HEIGHT - 3 }, clock(begin)));
    svg.append(draw("text", { class: "axis", x: width - 6, y: HEIGHT - 3, "text-anchor": "end" }, clock(end)));
  }
  if (times.length < 2) {
    svg.append(draw("text", { class: "axis", x: (LEFT + width) / 2, y: y(top / 2) - 6, "text-anchor": "middle" }, "a point every 5 seconds"));
  }
  lines.forEach((values, index) => {
    const points = values.map((value, at) => `${x(times[at]).toFixed(1)},${y(value).toFixed(1)}`);
    svg.append(draw("polyline", { class: index === 0 ? "first" : "second", points: points.join(" ") }));
  });
  const heading = make("h3", "", title);
  follow(svg, heading, title, { times, lines, x, width });
  return make("figure", "chart", undefined, [heading, svg]);
}

/** Shows the values under the pointer in the heading. */
function follow(svg, heading, title, { times, lines, x, width }) {
  const cursor = draw("line", { class: "cursor", y1: 8, y2: HEIGHT - BOTTOM, visibility: "hidden" });
  svg.append(cursor);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * width;
    let nearest = 0;
    times.forEach((time, index) => {
      if (Math.abs(x(time) - at) < Math.abs(x(times[nearest]) - at)) nearest = index;
    });
    if (times.length === 0) return;
    cursor.setAttribute("x1", x(times[nearest]));
    cursor.setAttribute("x2", x(times[nearest]));
    cursor.setAttribute("visibility", "visible");
    heading.textContent = `${clock(times[nearest])}: ${lines.map((values) => short(values[nearest])).join(", ")}`;
  });
  svg.addEventListener("pointerleave", () => {
    cursor.setAttribute("visibility", "hidden");
    heading.textContent = title;
  });
}

function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

/** The least 1, 2 or 5 times a power of ten that is not below. */
function niceTop(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((top) => top >= value);
}
