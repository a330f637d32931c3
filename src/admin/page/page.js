// The page of dotward's admin server. Once a second it gets the status as an event, and shows what has changed in between.

const WINDOW = 120; // seconds that are kept, and shown as a chart
const MINUTE = 60;
const SILENT = 4000; // ms without an event until that is said
const AGAIN = 3000; // ms until the events are asked for again

/** Where an answer comes from: the class, the words, and the count in a status. */
const SOURCES = [
  ["upstream", "upstream", (s) => s.clients.answered_by_upstreams],
  ["cache", "cache", (s) => s.clients.answered_from_cache],
  ["local", "dotward itself", (s) => s.clients.answered_here],
  ["stale", "cache, out of date", (s) => s.clients.answered_stale],
  ["failed", "failed", (s) => s.clients.failed],
  ["refused", "refused", (s) => sum(Object.values(s.refusals)) + s.bounds.shed + s.bounds.yielded],
];

/** What a reason means, and what can be done. */
const REASONS = {
  not_connected: ["no upstream could be connected to", "The upstreams say why. Does the network let their port pass?"],
  not_answered: ["no answer in time", "An upstream was connected to, but is slow, or packets are lost on the way."],
  connection_lost: ["connections lost", "Every connection that the query was sent on ended before the answer."],
  malformed: ["answers that cannot be read", "The upstream, or something on the way, sends what is no DNS message."],
  ending: ["dotward was ending", "They were in flight when it was told to stop."],
  truncated: ["truncated answers", "The upstream cut its answer, and the client asked over TCP, where nothing more can be had."],
};

const CONNECT_REASONS = {
  name_not_found: "name not found",
  unreachable: "unreachable",
  timed_out: "timed out",
  not_authenticated: "not authenticated",
  handshake: "handshake failed",
};

const PROTOCOLS = {
  tls: "DNS over TLS",
  https: "DNS over HTTPS",
  quic: "DNS over QUIC",
  tcp: "TCP without encryption",
  udp: "UDP without encryption",
};

const BOUND_HITS = {
  shed: "queries refused",
  yielded: "queries given up for other clients",
  tcp_refused: "TCP clients refused",
  tcp_closed_unread: "TCP clients closed that read too little",
  udp_unsent: "UDP responses that the system refused",
};

// --- Numbers and words

const sum = (values) => values.reduce((all, one) => all + one, 0);
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const count = (value) => whole.format(value);
const rate = (value) => (value > 0 && value < 10 ? tenths.format(value) : whole.format(value));

function percent(part, all) {
  if (all <= 0) return "–";
  const value = (100 * part) / all;
  return part === 0 ? "0" : value < 0.05 ? "< 0.1" : tenths.format(value);
}

function duration(seconds) {
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  let first = parts.findIndex(([length]) => seconds >= length);
  if (first < 0) first = parts.length - 1;
  return parts
    .slice(first, first + 2)
    .map(([length, unit], at) => `${Math.floor((at ? seconds % parts[first][0] : seconds) / length)} ${unit}`)
    .join(" ");
}

function time(ms) {
  if (ms === null || Number.isNaN(ms)) return ["–", "ms"];
  if (ms >= 995) return [(ms / 1000).toPrecision(2), "s"];
  return [ms >= 9.95 ? ms.toFixed(0) : ms >= 0.995 ? ms.toFixed(1) : ms.toFixed(2), "ms"];
}

function octets(value) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let at = 0;
  for (; value >= 1024 && at < units.length - 1; at++) value /= 1024;
  return `${at && value < 100 ? tenths.format(value) : count(value)} ${units[at]}`;
}

// --- Elements

const $ = (id) => document.getElementById(id);

/** Sets a text, if it is another one: what is selected on the page stays selected. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function make(name, className = "", text = "") {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

/** The children of `parent` become as many as there are `items`; `fresh` makes one, `fill` shows an item in it. */
function each(parent, items, fresh, fill) {
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  while (parent.children.length < items.length) parent.append(fresh());
  items.forEach((item, at) => fill(parent.children[at], item));
}

// --- What was received

/** The latest statuses, the oldest first. */
let history = [];

function keep(status) {
  const last = history.at(-1);
  // Another start of the program counts from zero.
  if (last && status.uptime_seconds < last.uptime_seconds) history = [];
  history.push(status);
  const first = status.uptime_seconds - WINDOW - 2;
  history = history.filter((one) => one.uptime_seconds >= first);
}

const now = () => history.at(-1);

/** The status of so many seconds ago, or the first one there is. */
function ago(seconds) {
  const at = now().uptime_seconds - seconds - 0.5;
  return history.find((one) => one.uptime_seconds >= at);
}

/** By how much a count has risen since a status, a second. */
function perSecond(since, value) {
  const seconds = now().uptime_seconds - since.uptime_seconds;
  return seconds > 0 ? (value(now()) - value(since)) / seconds : 0;
}

/** Estimates within which time a part of the queries was answered, from the counts of the histogram. */
function quantile(bounds, counts, part) {
  const all = sum(counts);
  if (all === 0) return null;
  let wanted = part * all;
  for (let at = 0; at < counts.length; at++) {
    if (wanted <= counts[at] && counts[at] > 0) {
      const low = at > 0 ? bounds[at - 1] : 0;
      const high = bounds[at] ?? bounds.at(-1);
      return low + ((high - low) * wanted) / counts[at];
    }
    wanted -= counts[at];
  }
  return bounds.at(-1);
}

// --- The parts of the page

function showProgram(s) {
  const workers = s.workers === 1 ? "1 worker" : `${s.workers} workers`;
  say($("about"), `${s.version} · ${s.runtime} · ${workers} · up ${duration(s.uptime_seconds)}`);
  say($("ready"), s.ready ? "ready" : "not ready");
  $("ready").className = s.ready ? "pill good" : "pill bad";
  $("ready").title = s.not_ready_because ?? "";
}

function showTiles(s) {
  const five = ago(5);
  const minute = ago(MINUTE);
  const queries = perSecond(five, (one) => one.clients.queries);
  say($("rate"), rate(queries));
  say($("rate-more"), `${count(s.clients.queries)} since the start`);
  document.title = `dotward · ${rate(queries)}/s`;

  const share = (value, of) => [value(now()) - value(minute), of(now()) - of(minute)];
  const cached = (one) => one.clients.answered_from_cache + one.clients.answered_stale;
  const answered = (one) => cached(one) + one.clients.answered_by_upstreams + one.clients.answered_here;
  const [part, all] = share(cached, answered);
  say($("share"), percent(part, all));
  say($("share-more"), `${percent(cached(s), answered(s))} % since the start`);

  const times = (one) => one.answer_times;
  const recent = times(s).counts.map((value, at) => value - times(minute).counts[at]);
  const counts = sum(recent) > 0 ? recent : times(s).counts;
  const [median, unit] = time(quantile(times(s).bounds_ms, counts, 0.5));
  const late = time(quantile(times(s).bounds_ms, counts, 0.99)).join(" ");
  say($("median"), median);
  say($("median-unit"), unit);
  say($("median-more"), sum(counts) > 0 ? `99 % within ${late}; only forwarded ones` : "nothing was forwarded yet");

  const failed = s.clients.failed - minute.clients.failed;
  say($("failed"), count(failed));
  $("failed").className = failed > 0 ? "bad" : "";
  // The page knows nothing of what was before it was opened.
  const seconds = Math.round(s.uptime_seconds - minute.uptime_seconds);
  say($("failed-unit"), seconds < MINUTE - 1 ? `in the last ${seconds} s` : "in the last minute");
  say($("failed-more"), `${count(s.clients.failed)} since the start`);
  say($("waiting"), count(s.clients.queries_in_flight));
  say($("waiting-more"), `${count(s.clients.tcp_connections)} TCP clients`);
}

/** 1, 2 or 5 times a power of ten, and at least `value`. */
function rounded(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= value);
}

function showTraffic() {
  const points = history.slice(1).map((one, at) => {
    const before = history[at];
    const seconds = Math.max(one.uptime_seconds - before.uptime_seconds, 0.001);
    return {
      x: WINDOW - (now().uptime_seconds - one.uptime_seconds),
      values: SOURCES.map(([, , of]) => Math.max(0, of(one) - of(before)) / seconds),
    };
  });
  const top = rounded(Math.max(1, ...points.map((point) => sum(point.values))));
  say($("traffic-top"), points.length > 0 ? `${count(top)}/s` : "the first seconds are being counted");
  const svg = $("traffic");
  each(svg, SOURCES, () => document.createElementNS("http://www.w3.org/2000/svg", "path"), (path, [name]) => {
    const place = SOURCES.findIndex(([other]) => other === name);
    const at = (point, places) => `${point.x.toFixed(2)} ${(100 - (100 * sum(point.values.slice(0, places))) / top).toFixed(2)}`;
    const above = points.map((point) => at(point, place + 1));
    const below = points.map((point) => at(point, place)).reverse();
    path.setAttribute("class", name);
    path.setAttribute("d", points.length > 1 ? `M${above.join("L")}L${below.join("L")}Z` : "");
  });
  each($("traffic-legend"), SOURCES, () => make("li"), (item, [name, words]) => {
    const value = points.length > 0 ? points.at(-1).values[SOURCES.findIndex(([other]) => other === name)] : 0;
    item.className = name;
    say(item, `${words} ${rate(value)}`);
  });
}

function showTimes(s) {
  const { bounds_ms: bounds, counts: ever } = s.answer_times;
  const minute = ever.map((value, at) => value - ago(MINUTE).answer_times.counts[at]);
  const height = (counts) => {
    const most = Math.max(1, ...counts);
    return counts.map((value) => (100 * value) / most);
  };
  const [all, recent] = [height(ever), height(minute)];
  const name = (at) => (at < bounds.length ? time(bounds[at]).join(" ") : `over ${time(bounds.at(-1)).join(" ")}`);
  const fresh = () => {
    const bar = make("div");
    bar.append(make("i", "ever"), make("i", "minute"));
    return bar;
  };
  each($("bars"), ever, fresh, () => {});
  [...$("bars").children].forEach((bar, at) => {
    bar.children[0].style.height = `${all[at]}%`;
    bar.children[1].style.height = `${recent[at]}%`;
    const within = at < bounds.length ? `within ${name(at)}` : name(at);
    bar.title = `${within}: ${count(minute[at])} in the last minute, ${count(ever[at])} since the start`;
  });
  each($("bars-axis"), ever, () => make("span"), (label, _) => {
    const at = [...label.parentNode.children].indexOf(label);
    say(label, at % 2 === 0 && at < bounds.length ? name(at).replace(" ms", "") : "");
  });
  const rows = [
    ["last minute", minute, s.answer_times.sum_ms - ago(MINUTE).answer_times.sum_ms],
    ["since the start", ever, s.answer_times.sum_ms],
  ];
  const row = () => {
    const one = make("tr");
    one.append(make("th"), ...[1, 2, 3, 4, 5].map(() => make("td")));
    one.children[0].scope = "row";
    return one;
  };
  each($("percentiles"), rows, row, (one, [words, counts, total]) => {
    const [half, most, nearly] = [0.5, 0.9, 0.99].map((part) => quantile(bounds, counts, part));
    const mean = sum(counts) > 0 ? total / sum(counts) : null;
    [words, ...[half, most, nearly, mean].map((ms) => (ms === null ? "–" : time(ms).join(" "))), count(sum(counts))].forEach((text, at) =>
      say(one.children[at], text),
    );
  });
}

function showAnswers(s) {
  const minute = ago(MINUTE);
  const all = sum(SOURCES.map(([, , of]) => of(s)));
  const row = () => {
    const one = make("tr");
    one.append(make("th", "swatch"), make("td"), make("td"), make("td"));
    one.children[0].scope = "row";
    return one;
  };
  each($("answers"), SOURCES, row, (one, [name, words, of]) => {
    one.children[0].className = `swatch ${name}`;
    say(one.children[0], words);
    say(one.children[1], count(of(s) - of(minute)));
    say(one.children[2], count(of(s)));
    say(one.children[3], all > 0 ? `${percent(of(s), all)} %` : "–");
  });
}

function showBounds(s) {
  const bounds = [
    ["queries in flight", s.clients.queries_in_flight, s.bounds.in_flight, count],
    ["memory for queries", s.clients.query_memory_bytes, s.bounds.query_memory_bytes, octets],
    ["TCP clients", s.clients.tcp_connections, s.bounds.tcp_connections, count],
    ["cache", s.cache.bytes, s.cache.limit_bytes, octets],
  ].filter(([, , limit]) => limit > 0);
  const fresh = () => {
    const meter = make("div", "meter");
    const track = make("div", "track");
    track.append(make("i"));
    meter.append(make("span"), make("span", "quiet"), track);
    return meter;
  };
  each($("bounds"), bounds, fresh, (meter, [words, value, limit, unit]) => {
    say(meter.children[0], words === "cache" ? `cache, ${count(s.cache.entries)} responses` : words);
    say(meter.children[1], `${unit(value)} of ${unit(limit)}`);
    const bar = meter.children[2].firstElementChild;
    const part = Math.min(1, value / limit);
    bar.style.width = `${100 * part}%`;
    // A full cache is as it should be.
    bar.className = words === "cache" || part < 0.7 ? "" : part < 0.95 ? "warn" : "bad";
  });
  const hits = Object.entries(BOUND_HITS).filter(([name]) => s.bounds[name] > 0);
  const text = hits.map(([name, words]) => `${count(s.bounds[name])} ${words}`).join(", ");
  say($("hits"), text ? `Since the start: ${text}.` : "None of them was hit since the start.");
}

const CELLS = ["upstream", "state", "queries/s", "round trip", "connections", "handshakes", "resumed", "connects failed", "lost", "certificate ends"];

function upstreamCells(upstream, before) {
  const seconds = now().uptime_seconds - ago(5).uptime_seconds;
  const sent = before && seconds > 0 ? rate((upstream.sent - before.sent) / seconds) : "–";
  const handshakes = upstream.handshakes_verified + upstream.handshakes_unverified;
  const failures = Object.entries(upstream.connect_failures).filter(([, value]) => value > 0);
  const connections = upstream.connections === 1 ? "1 up" : `${count(upstream.connections)} up`;
  const cells = [
    ["", ""],
    ["", ""],
    [sent, `${count(upstream.answered)} of ${count(upstream.sent)} answered`],
    [upstream.round_trip_ms === null ? "–" : time(upstream.round_trip_ms).join(" "), ""],
    [connections, `${count(upstream.in_flight)} in flight`],
    [count(handshakes), upstream.handshakes_unverified > 0 ? `${count(upstream.handshakes_unverified)} not verified` : handshakes > 0 ? "verified" : ""],
    [handshakes > 0 ? `${percent(upstream.handshakes_resumed, handshakes)} %` : "–", ""],
    [count(upstream.failed_connects), failures.map(([name, value]) => `${CONNECT_REASONS[name] ?? name} ${count(value)}`).join(", ")],
    [count(upstream.lost_connections), ""],
    certificate(upstream.certificate_seconds_left),
  ];
  return cells;
}

function protocols(upstream) {
  const names = upstream.protocols.split("+").map((name) => PROTOCOLS[name] ?? name);
  return names.join(" or ");
}

function certificate(left) {
  if (left === null) return ["not known", ""];
  if (left <= 0) return ["has ended", "", "bad"];
  const days = Math.floor(left / 86400);
  const date = new Date(Date.now() + 1000 * left);
  const day = Number.isNaN(date.getTime()) ? "–" : date.toISOString().slice(0, 10);
  return [day, days === 1 ? "in 1 day" : `in ${count(days)} days`, days < 14 ? "warn" : ""];
}

function showUpstreams(s) {
  const before = ago(5);
  const rows = s.upstreams.flatMap((upstream) => [["numbers", upstream], ...(upstream.last_error ? [["error", upstream]] : [])]);
  const table = $("upstreams");
  table.querySelector(".none")?.parentNode.remove();
  const shapes = rows.map(([shape, upstream]) => `${shape} ${upstream.label}`);
  // Rows are made anew only where other upstreams are there, or another one has an error.
  if (shapes.join("\n") !== table.dataset.shapes) {
    table.replaceChildren(...rows.map(([shape]) => upstreamRow(shape)));
    table.dataset.shapes = shapes.join("\n");
  }
  rows.forEach(([shape, upstream], at) => {
    const row = table.children[at];
    if (shape === "error") return say(row.firstElementChild, `last error: ${upstream.last_error}`);
    row.className = upstream.last_error ? "told" : "";
    const [label, state] = row.children;
    say(label.children[0], upstream.label);
    say(label.children[1], [protocols(upstream), upstream.last_connection].filter(Boolean).join(" · "));
    const isCut = upstream.state === "idle" && upstream.last_error !== null;
    say(state.firstElementChild, isCut ? "not connected" : upstream.state);
    state.firstElementChild.className = `state ${isCut ? "cut" : upstream.state}`;
    const known = before.upstreams.find((one) => one.label === upstream.label);
    upstreamCells(upstream, known).forEach(([text, more, className = ""], place) => {
      if (place < 2) return;
      const cell = row.children[place];
      say(cell.firstElementChild.children[0], text);
      say(cell.firstElementChild.children[1], more);
      cell.firstElementChild.className = className;
    });
  });
}

function upstreamRow(shape) {
  const row = make("tr");
  if (shape === "error") {
    const cell = make("td", "error");
    cell.colSpan = CELLS.length;
    row.append(cell);
    return row;
  }
  row.append(
    ...CELLS.map((name, at) => {
      const cell = make("td", at > 1 ? "n" : "");
      if (at > 1) cell.dataset.name = name;
      if (at === 0) cell.append(make("strong"), make("small"));
      else if (at === 1) cell.append(make("span", "state"));
      else {
        const value = make("div");
        value.append(make("span"), make("small"));
        cell.append(value);
      }
      return cell;
    }),
  );
  return row;
}

function showFailures(s) {
  const minute = ago(MINUTE);
  const reasons = Object.entries(s.failures).filter(([, value]) => value > 0);
  const fresh = () => {
    const row = make("tr");
    const head = make("th");
    head.scope = "row";
    head.append(make("span"), make("small"));
    row.append(head, make("td"), make("td"));
    return row;
  };
  each($("failures"), reasons, fresh, (row, [name, value]) => {
    const [words, advice] = REASONS[name] ?? [name, ""];
    say(row.children[0].children[0], words);
    say(row.children[0].children[1], advice);
    say(row.children[1], count(value - (minute.failures[name] ?? 0)));
    say(row.children[2], count(value));
  });
  $("failures").parentNode.hidden = reasons.length === 0;
  $("no-failures").hidden = reasons.length > 0;

  const item = () => {
    const one = make("li");
    const when = make("p", "when");
    when.append(make("span"), make("span"), make("span"));
    one.append(when, make("p"));
    return one;
  };
  each($("latest"), s.latest_failures, item, (one, failure) => {
    const [when, text] = one.children;
    say(when.children[0], `${duration(failure.seconds_ago)} ago`);
    say(when.children[1], (REASONS[failure.reason] ?? [failure.reason])[0]);
    say(when.children[2], failure.count === 1 ? "1 query" : `${count(failure.count)} queries`);
    say(text, failure.id ? `${failure.text} (id ${failure.id})` : failure.text);
  });
  $("no-latest").hidden = s.latest_failures.length > 0;
}

function show(status) {
  keep(status);
  showProgram(status);
  showTiles(status);
  showTraffic();
  showTimes(status);
  showAnswers(status);
  showBounds(status);
  showUpstreams(status);
  showFailures(status);
}

// --- Events

let heard = 0;
let events = null;

const clock = (at) => new Date(at).toLocaleTimeString();

/** How the connection to dotward is; `why` is told if it is not good. */
function connection(word, className, why = "") {
  say($("live"), word);
  $("live").className = `pill ${className}`;
  say($("notice"), why);
  $("notice").hidden = why === "";
  if (why !== "") $("ready").className = "pill"; // whether it still is, is not known
  document.body.classList.toggle("lost", why !== "" && history.length > 0);
}

function lost() {
  const then = heard > 0 ? ` What is shown is from ${clock(heard)}.` : "";
  document.title = "dotward · no connection";
  connection("no connection", "bad", `dotward does not answer.${then} This page goes on trying, and continues by itself.`);
}

function listen() {
  events = new EventSource("/api/events");
  events.addEventListener("status", (event) => {
    heard = Date.now();
    show(JSON.parse(event.data));
    connection("live", "good");
  });
  events.addEventListener("trouble", (event) => {
    heard = Date.now();
    connection("in trouble", "bad", `dotward is there, but ${event.data}. Nothing more is known of it at the moment.`);
  });
  events.addEventListener("error", () => {
    const isRefused = events.readyState === EventSource.CLOSED;
    lost();
    if (isRefused) {
      // It does not try again by itself: the response was an error, as where too many pages take events.
      say($("notice"), "dotward sends no events to this page. Perhaps as many other pages take them as may do so at once. This page goes on trying.");
      setTimeout(listen, AGAIN);
    }
  });
}

setInterval(() => {
  if (heard > 0 && Date.now() - heard > SILENT && events.readyState === EventSource.OPEN) lost();
}, 1000);

listen();
