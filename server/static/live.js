// What the pages gain with JavaScript: local times, countdowns, one press that stays one, and parts that renew
// themselves. Without it they work the same. Markup comes from the server alone: it is read as a document and moved
// into the page, never made from text here (the pages' policy forbids that, too).
'use strict';

(() => {
  const main = document.getElementById('main');
  const quiet = 45e3; // the server says something every 20 s
  const look = 15e3;

  // Times: the reader's own beside UTC.

  const zoned = (style) => new Intl.DateTimeFormat('en-GB', style);
  const days = { long: zoned({ day: 'numeric', month: 'short', year: 'numeric' }), short: zoned({ day: 'numeric', month: 'short' }) };
  const times = {
    long: zoned({ hour: '2-digit', minute: '2-digit', second: '2-digit', timeZoneName: 'short' }),
    short: zoned({ hour: '2-digit', minute: '2-digit', timeZoneName: 'short' }),
  };

  // beside returns the reader's own time before the UTC that stands there, each day once.
  function beside(at, utc, style) {
    if (at.getTimezoneOffset() === 0) return utc;
    const day = days[style].format(at) + ', ';
    const today = days[style].format(new Date()) + ', ';
    return (day === today ? '' : day) + times[style].format(at) + ' · ' + (utc.startsWith(day) ? utc.slice(day.length) : utc);
  }

  function clocks(root) {
    for (const el of root.querySelectorAll('time[datetime]')) {
      el.textContent = beside(new Date(el.dateTime), el.textContent, 'short' in el.dataset ? 'short' : 'long');
    }
    countdown(root);
  }

  function countdown(root) {
    let over = false;
    for (const el of root.querySelectorAll('[data-until]')) {
      const left = Math.ceil((new Date(el.dataset.until) - Date.now()) / 1000);
      if (left <= 0 && el.textContent) over = true;
      el.textContent = left <= 0 ? '' : left < 90 ? `in ${left} s` : left < 5400 ? `in ${Math.round(left / 60)} min` : `in ${Math.round(left / 3600)} h`;
    }
    return over;
  }

  // The form: what a press will do, and one press.

  function preview(root) {
    const field = root.querySelector('#minutes');
    const ends = root.querySelector('#ends');
    const button = root.querySelector('button.approve');
    if (!field || !ends || !button) return;
    const show = () => {
      const n = field.validity.valid && field.value ? Number(field.value) : 0;
      const at = new Date(Date.now() + n * 60e3);
      ends.textContent = n ? `Ends ${beside(at, at.toISOString().slice(11, 16) + ' UTC', 'short')} if approved now.` : '';
      button.textContent = n ? `Approve ${n} ${n === 1 ? 'minute' : 'minutes'}` : 'Approve';
    };
    field.addEventListener('input', show);
    for (const choice of root.querySelectorAll('button[data-minutes]')) {
      choice.hidden = false;
      choice.addEventListener('click', () => {
        field.value = choice.dataset.minutes;
        show();
      });
    }
    show();
  }

  let sent = null;
  document.addEventListener('submit', (e) => {
    if (sent === e.target) e.preventDefault();
    sent = e.target;
    sent.setAttribute('aria-busy', 'true');
    setTimeout(unsent, look); // no answer came: it may be pressed again
  });
  window.addEventListener('pageshow', unsent);

  function unsent() {
    if (sent) sent.removeAttribute('aria-busy');
    sent = null;
  }

  // Renewal: parts whose markup changed are replaced, and nothing is taken from who is writing.

  const parts = () => [...main.querySelectorAll('[data-part]')];
  const markup = new Map(); // of each part as the server wrote it

  function liven(part) {
    clocks(part);
    preview(part);
  }

  const typed = (root) => new Map([...root.querySelectorAll('input:not([type=hidden]), textarea')]
    .filter((f) => f.value !== f.defaultValue || 'typed' in f.form.dataset).map((f) => [f.id, f.value]));

  function replace(old, next) {
    const written = typed(old);
    const focus = old.contains(document.activeElement) ? document.activeElement : null;
    const place = focus && 'selectionStart' in focus ? [focus.selectionStart, focus.selectionEnd] : null;
    const open = [...old.querySelectorAll('details')].map((d) => d.open);
    next = document.importNode(next, true);
    old.replaceWith(next);
    markup.set(next.id, next.outerHTML);
    for (const [id, value] of written) {
      const field = document.getElementById(id);
      if (field) field.value = value;
    }
    next.querySelectorAll('details').forEach((d, i) => { d.open = open[i] || false; });
    liven(next);
    if (!focus) return;
    const again = focus.id ? document.getElementById(focus.id) : [...next.querySelectorAll('a[href]')].find((a) => a.href === focus.href);
    (again || document.getElementById('title')).focus({ preventScroll: true });
    if (again && place && place[0] !== null) again.setSelectionRange(...place);
  }

  function renewed(doc) {
    const to = doc.getElementById('main');
    document.title = doc.title;
    for (const part of parts()) {
      const next = doc.getElementById(part.id);
      if (next && next.outerHTML !== markup.get(part.id)) replace(part, next);
    }
    if (to.dataset.say !== main.dataset.say) {
      main.dataset.say = to.dataset.say;
      document.getElementById('news').textContent = to.dataset.say;
    }
  }

  let asking = false;
  let askAgain = false;

  function renew() {
    if (asking) {
      askAgain = true;
      return;
    }
    asking = true;
    askAgain = false;
    const request = new XMLHttpRequest(); // it reads HTML as a document, without making markup from text
    request.open('GET', main.dataset.live);
    request.responseType = 'document';
    request.setRequestHeader('Sallyport-Live', '1');
    request.timeout = look;
    request.onloadend = () => {
      asking = false;
      const doc = request.response;
      if (request.status === 401) signedOut();
      else if (request.status === 200 && doc && doc.getElementById('main')) renewed(doc);
      document.getElementById('stale').hidden = request.status !== 0 && request.status < 500;
      if (askAgain) renew();
    };
    request.send();
  }

  function signedOut() {
    over = true;
    stop();
    document.getElementById('signed-out').hidden = false;
  }

  // News: one stream for all pages of this browser. The page that holds the lock has it and tells the others. Whoever
  // hears nothing for a while looks for themselves.

  let heard = Date.now();
  let over = false;
  let source = null;
  let letGo = null; // gives the lock back, or the place in line for it
  let leading = false;
  let last = Number(main.dataset.after || 0);
  const pages = 'BroadcastChannel' in window ? new BroadcastChannel('sallyport') : null;

  function hear(name, id) {
    heard = Date.now();
    if (id) last = Number(id);
    if (name === 'session') signedOut();
    else if (name === 'request' || name === 'reset') renew();
  }

  function listen() {
    if (source || over) return;
    source = new EventSource('/events?after=' + last);
    const tell = (name) => (e) => {
      hear(name, e.lastEventId);
      if (pages) pages.postMessage({ name, id: e.lastEventId });
    };
    for (const name of ['request', 'reset', 'ping']) source.addEventListener(name, tell(name));
    source.addEventListener('error', () => {
      if (source && source.readyState === EventSource.CLOSED) renew(); // refused: find out why
    });
    source.addEventListener('bye', (e) => {
      if (JSON.parse(e.data).reason === 'session') tell('session')(e);
    });
  }

  function stop() {
    if (source) source.close();
    source = null;
    leading = false;
    if (letGo) letGo();
    letGo = null;
  }

  function lead() {
    if (over) return;
    if (!navigator.locks || !pages) {
      leading = !document.hidden;
      if (leading) listen();
      else stop();
      return;
    }
    if (letGo) return;
    let done;
    const held = new Promise((resolve) => { done = resolve; });
    letGo = done;
    navigator.locks.request('sallyport', () => {
      if (letGo !== done) return undefined; // the page went away meanwhile
      leading = true;
      listen();
      return held;
    });
  }

  for (const part of parts()) markup.set(part.id, part.outerHTML);
  liven(main);
  if (!main.dataset.live) return;
  if (pages) pages.onmessage = (e) => hear(e.data.name, e.data.id);
  lead();
  document.addEventListener('visibilitychange', () => {
    lead();
    if (!document.hidden) renew();
  });
  window.addEventListener('pagehide', stop);
  window.addEventListener('pageshow', (e) => {
    if (!e.persisted) return;
    lead();
    renew();
  });
  setInterval(() => {
    if (source && source.readyState === EventSource.CLOSED) source = null;
    if (leading) listen();
    if (over || document.hidden) return;
    if (countdown(main) || Date.now() - heard > quiet) renew();
  }, look);
})();
