'use strict';
// Follows the daemon: what ticks is put in alone; a section of which anything else changed is put in as a whole, with what was
// unfolded, typed and focused in it. When nothing was heard for 20 seconds the page says so and loses its colours.
(() => {
  const root = document.documentElement, said = document.getElementById('said'), PATIENCE = 20000;
  let stream = null, timer = 0;
  const at = (id) => (id ? document.getElementById(id) : null);
  const clock = () => { const main = at('main'), place = at('clock'); if (main && place) place.textContent = main.dataset.clock; };
  const lost = () => {
    if (root.dataset.stream === 'lost') return;
    root.dataset.stream = 'lost';
    said.textContent = `No news from the forwarder since ${at('main').dataset.clock || 'this page was loaded'}: what you see is old. Look whether it runs, then load this page again.`;
  };
  const wait = () => { clearTimeout(timer); timer = setTimeout(lost, PATIENCE); };
  const keep = (old, fresh) => {
    for (const fold of old.querySelectorAll('details[open]')) { const same = fresh.querySelector(`#${CSS.escape(fold.id)}`); if (same) same.open = true; }
    for (const field of old.querySelectorAll('input[id]:not([type="hidden"])')) {
      const same = fresh.querySelector(`#${CSS.escape(field.id)}`);
      if (same) { same.value = field.value; same.checked = field.checked; }
    }
  };
  const put = (old, fresh) => {
    const focus = old.contains(document.activeElement) ? document.activeElement.id : '';
    keep(old, fresh);
    old.replaceWith(fresh);
    if (focus) at(focus)?.focus({ preventScroll: true });
  };
  const units = (main) => [...main.querySelectorAll('[data-shape]')];
  const take = ({ data }) => {
    wait();
    const fresh = new DOMParser().parseFromString(data, 'text/html').querySelector('main'), main = at('main');
    if (!fresh || !main) return;
    if (root.dataset.stream === 'lost') said.textContent = '';
    root.dataset.stream = 'live';
    if (fresh.dataset.verdict !== main.dataset.verdict) { said.textContent = fresh.dataset.verdict; document.title = `${fresh.dataset.title} · audit-forwarder`; }
    const now = units(fresh), before = units(main);
    if (now.map((one) => one.id).join() !== before.map((one) => one.id).join()) put(main, fresh);
    else {
      for (const [index, one] of now.entries()) {
        const old = before[index];
        if (old.dataset.shape !== one.dataset.shape) { put(old, one); continue; }
        for (const next of one.querySelectorAll('[data-live]')) {
          const place = at(next.id);
          if (place && place.innerHTML !== next.innerHTML) place.replaceChildren(...next.childNodes);
        }
      }
      Object.assign(main.dataset, { ...fresh.dataset });
    }
    clock();
  };
  const open = () => {
    stream = new EventSource('events');
    stream.onmessage = take;
    stream.addEventListener('full', () => {
      clearTimeout(timer);
      if (root.dataset.stream === 'lost') return;
      root.dataset.stream = 'lost';
      said.textContent = 'Too many follow this page: what you see is not followed. It is tried again in half a minute.';
    });
    stream.onerror = () => { if (stream.readyState === EventSource.CLOSED) lost(); };
    wait();
  };
  document.addEventListener('visibilitychange', () => { if (document.hidden) { stream?.close(); clearTimeout(timer); } else open(); });
  clock();
  if (!document.hidden) open();
})();
