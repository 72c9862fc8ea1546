// The pages' own script: live updates, keys, selection, copying, and times that stay true.
// Everything can be read without it.
'use strict';
// htmx sets the HTML that the server has escaped. Nothing else makes scripts of texts.
if (window.trustedTypes) trustedTypes.createPolicy('default', {createHTML: (html) => html});

const all = (selector, root = document) => [...root.querySelectorAll(selector)];
let silence;
function say(text) {
  const said = document.getElementById('said');
  if (said.textContent !== text) said.textContent = text;
  clearTimeout(silence);
  silence = setTimeout(() => { said.textContent = ''; }, 5000);
}

// Live updates: a page with data-live asks for itself again, unless it is paused, hidden, or
// somebody selects or types.
const refreshEvery = 3000;
let paused = false;
const busy = () => document.hidden || document.querySelector('dialog[open], [data-rows] input:checked') ||
  document.activeElement?.matches('input, select, textarea') || !getSelection().isCollapsed;
function pause(on) {
  paused = on;
  document.body.toggleAttribute('data-paused', on);
  for (const b of all('[data-pause]')) {
    b.setAttribute('aria-pressed', on);
    b.firstChild.textContent = on ? 'Go on ' : 'Pause live ';
  }
  document.dispatchEvent(new CustomEvent(on ? 'live:pause' : 'live:resume'));
}
setInterval(() => {
  const main = document.querySelector('main[data-live]');
  if (main && !paused && !busy()) main.dispatchEvent(new CustomEvent('refresh'));
}, refreshEvery);
let shownAt = new Date();
document.addEventListener('htmx:after:swap', () => { shownAt = new Date(); });
document.addEventListener('htmx:error', () => say('The bridge does not answer. This page is of ' + shownAt.toLocaleTimeString() + '.'));

// Times.
function span(s) {
  if (s < 60) return Math.floor(s) + ' s';
  if (s < 3600) return Math.floor(s / 60) + ' min';
  const h = Math.floor(s / 3600), m = Math.floor(s % 3600 / 60);
  if (s < 86400) return m === 0 || h >= 10 ? h + ' h' : h + ' h ' + m + ' min';
  return Math.floor(s / 86400) + ' d';
}
setInterval(() => {
  for (const t of all('time[data-way]')) {
    const s = (Date.now() - new Date(t.dateTime)) / 1000;
    const words = s < 0 ? 'in ' + span(-s) : span(s) + ' ago';
    if (t.textContent !== words) t.textContent = words;
  }
}, 1000);

// Rows that come (tbody with data-live). They wait, and are counted, while somebody pauses,
// points at a row or has scrolled down.
const keptRows = 200;
let fresh = [], freshCount = 0;
const feed = () => document.querySelector('tbody[data-live]');
const reading = () => paused || scrollY > 160 || matchMedia('(hover: hover)').matches && feed().matches(':hover');
function showFresh(now) {
  if (now && fresh.length) {
    feed().insertAdjacentHTML('afterbegin', fresh.reverse().join(''));
    [fresh, freshCount] = [[], 0];
    for (const row of [...feed().rows].slice(keptRows)) row.remove();
  }
  const b = document.querySelector('[data-fresh]');
  b.hidden = freshCount === 0;
  b.textContent = freshCount + ' new';
}
setInterval(() => { if (feed()) showFresh(!reading()); }, 250);
document.addEventListener('htmx:sse:before:message', (e) => {
  e.preventDefault();
  fresh = [...fresh, e.detail.message.data].slice(-keptRows);
  freshCount += e.detail.message.data.split('<tr id=').length - 1;
});
function connected(on, words) {
  const state = document.getElementById('live-state');
  if (!state) return;
  state.className = 'state ' + (on ? 'good' : 'warn');
  state.textContent = words;
}
document.addEventListener('htmx:sse:after:connection', () => connected(true, 'connected'));
document.addEventListener('htmx:sse:error', () => connected(false, 'connecting again'));
for (const name of ['htmx:response:error', 'htmx:error', 'htmx:sse:close']) {
  document.addEventListener(name, () => {
    connected(false, 'not connected, tries again');
    setTimeout(() => feed()?.dispatchEvent(new CustomEvent('again')), 4000);
  });
}

// Rows: the marked one has aria-selected; its first link opens it, its checkbox selects it.
const rows = () => all('[data-rows] tbody tr, [data-rows] > li');
const marked = () => document.querySelector('[data-rows] [data-marked]');
function mark(step) {
  const list = rows(), at = list.indexOf(marked());
  const next = list[Math.min(Math.max(at + step, 0), list.length - 1)];
  if (!next) return;
  marked()?.removeAttribute('data-marked');
  next.setAttribute('data-marked', '');
  next.scrollIntoView({block: 'nearest'});
  next.querySelector('a')?.focus({preventScroll: true});
}
let last;
function select(range) {
  const list = rows(), row = marked();
  const box = row?.querySelector('input[type=checkbox]');
  if (!box) return;
  box.checked = !box.checked;
  if (range && last) {
    const [a, b] = [list.indexOf(last), list.indexOf(row)].sort((x, y) => x - y);
    for (const r of list.slice(a, b + 1)) r.querySelector('input[type=checkbox]').checked = box.checked;
  }
  last = row;
  counted();
}
function counted() {
  const n = all('[data-rows] tbody input:checked').length;
  for (const e of all('[data-selected]')) { e.textContent = n; }
  for (const e of all('[data-needs-selection]')) e.disabled = n === 0;
}

// Keys.
let going = false;
document.addEventListener('keydown', (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || e.target.matches('input:not([type=checkbox]), select, textarea')) {
    if (e.key === 'Escape') e.target.blur();
    return;
  }
  if (going) {
    going = false;
    document.querySelector(`nav a[data-key="${CSS.escape(e.key)}"]`)?.click();
    return;
  }
  const keys = {
    j: () => mark(1), k: () => mark(-1), x: () => select(false), X: () => select(true),
    Enter: () => { if (!e.target.matches('a, button, summary, input')) marked()?.querySelector('a')?.click(); },
    '/': () => document.querySelector('input[type=search]')?.focus(),
    '.': () => pause(!paused), g: () => { going = true; },
    r: () => document.querySelector('[data-act]:not(:disabled)')?.click(),
    '?': () => document.getElementById('help').showModal(),
  };
  const act = Object.hasOwn(keys, e.key) && keys[e.key];
  if (!act) return;
  act();
  if (e.key !== 'Enter') e.preventDefault();
});

document.addEventListener('click', async (e) => {
  if (e.target.closest('[data-pause]')) pause(!paused);
  if (e.target.closest('[data-fresh]')) {
    pause(false);
    scrollTo(0, 0);
    showFresh(true);
  }
  const copy = e.target.closest('[data-copy]');
  if (copy) {
    try {
      await navigator.clipboard.writeText(copy.dataset.copy);
      say('Copied.');
    } catch {
      say('The browser did not allow to copy.');
    }
  }
  const everything = e.target.closest('input[data-all]');
  if (everything) {
    for (const box of all('tbody input[type=checkbox]', everything.closest('table'))) box.checked = everything.checked;
  }
});
document.addEventListener('change', counted);
document.addEventListener('DOMContentLoaded', counted);
document.addEventListener('htmx:after:swap', counted);
