// Refreshes the page. Everything else works without this script.
'use strict';

(() => {
  const every = 5000; // milliseconds
  const patience = 30000;
  const main = document.getElementById('main');
  const status = document.getElementById('refreshing');
  // session is a value that only the command that served this page knows. Another program may have its port after it has ended.
  const session = main.dataset.refresh;
  if (!session) return;

  let ended = false;
  let paused = false;
  let shownAt = new Date();

  const text = document.createElement('span');
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = 'Pause refreshing';
  button.addEventListener('click', () => {
    paused = !paused;
    button.textContent = paused ? 'Refresh again' : 'Pause refreshing';
  });
  document.querySelector('header').append(button);
  button.className = 'pause';
  status.append(text);

  // busy reports whether somebody uses the page in a way that new content would disturb. A click ends where it began.
  const busy = () => {
    const active = document.activeElement;
    return ended || paused || document.hidden || main.matches(':active') || Boolean(active && active.closest('#main form')) || !getSelection().isCollapsed;
  };

  // say shows a problem. The same problem is not announced twice.
  const say = (problem) => {
    const sentence = problem && `${problem} This page shows the state of ${shownAt.toLocaleTimeString()}.`;
    if (text.textContent !== sentence) text.textContent = sentence;
    document.body.classList.toggle('old', Boolean(problem));
  };

  // replace shows a new rendering. What was open stays open, and the focus stays where it was.
  const replace = (fresh) => {
    const open = [...main.querySelectorAll('details[open]')].map((d) => d.id);
    const focused = document.activeElement;
    const same = () => [...main.querySelectorAll('a, summary')].filter((e) => e.isEqualNode(focused));
    const which = same().indexOf(focused);
    main.replaceChildren(...fresh.childNodes);
    for (const id of open) document.getElementById(id)?.setAttribute('open', '');
    same()[which]?.focus({ preventScroll: true });
    shownAt = new Date();
  };

  const refresh = async () => {
    try {
      const response = await fetch(location.href, { cache: 'no-store', signal: AbortSignal.timeout(patience) });
      const page = new DOMParser().parseFromString(await response.text(), 'text/html');
      const fresh = page.getElementById('main');
      if (fresh?.dataset.refresh !== session) {
        ended = true;
        button.remove();
        say('The command that served this page has ended, and another program answers at its address. Close this page.');
        return;
      }
      if (busy()) return;
      // A page that shows only a problem has no state to keep.
      if (response.ok || document.getElementById('problem')) {
        replace(fresh);
        document.title = page.title;
        say('');
      } else {
        say(page.getElementById('problem').textContent);
      }
    } catch {
      say('The command that serves this page has ended. Start it again, and open the URL that it prints.');
    }
  };

  const next = async () => {
    if (!busy()) await refresh();
    if (!ended) setTimeout(next, every);
  };
  setTimeout(next, every);
  document.addEventListener('visibilitychange', () => { if (!busy()) refresh(); });
})();
