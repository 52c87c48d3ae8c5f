// Watches a question being asked and its answer coming, frame by frame; `window.porticoLab` is a promise of what was seen.
//
// Given: `mark`, a word of the question; `answer`, the selector of the last answer's text; `total`, the number it ends with; `limit`,
// after how many ms from Enter the watch is given up. What the document holds in an animation frame is painted next, so a time is when that was done.
// `window.porticoIdle(ms)` is a promise of so long a watch of nothing, which tells what watching itself costs.
([mark, answer, total, limit]) => {
  const AFTER_MS = 1000; // what is drawn anew when the answer is whole belongs to it, too
  const seen = { entered: false, echo: null, times: {}, last: 0, longFrames: 0, watched: 0 };
  const unseen = ["textarea", "script", "style", "title", "template", "noscript"].map((name) => `ancestor::${name}`).join(" or ");
  const spoken = document.createExpression(`//body//text()[contains(., "${mark}") and not(${unseen})]`);
  let enter = 0, stale = 0, finish;

  /** Whether the question lies in the window, outside of what one types in. */
  function messageIsVisible() {
    const found = spoken.evaluate(document, XPathResult.ORDERED_NODE_SNAPSHOT_TYPE);
    return Array.from({ length: found.snapshotLength }, (_, index) => found.snapshotItem(index)).some((node) => {
      const holder = node.parentElement, range = document.createRange();
      range.selectNodeContents(node);
      const box = range.getBoundingClientRect();
      return !holder.isContentEditable && holder.checkVisibility({ opacityProperty: true, visibilityProperty: true }) &&
        box.width > 0 && box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth;
    });
  }

  /** The last number of the last answer: its text is walked from the end, so that a long answer costs no more to watch. */
  function lastNumber() {
    const root = [...document.querySelectorAll(answer)].at(-1);
    if (!root) return 0;
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    let node = root, tail = "";
    while (node.lastChild) node = node.lastChild;
    walker.currentNode = node;
    if (node.nodeType !== Node.TEXT_NODE) node = walker.previousNode();
    for (; node && tail.length < 40; node = walker.previousNode()) {
      tail = node.substringData(Math.max(0, node.length - 40), 40) + tail;
    }
    return Number(tail.match(/(\d+)\D*$/)?.[1] ?? 0);
  }

  const painted = new MessageChannel(), waiting = [];
  painted.port1.onmessage = () => waiting.shift()();
  function whenPainted(note) { // a message that is sent in an animation frame comes after that was painted
    waiting.push(note);
    painted.port2.postMessage(null);
  }

  function frame() {
    const shown = seen.echo === null && messageIsVisible(), last = lastNumber();
    if (last !== stale) stale = 0; // until then an earlier answer is the last one
    const from = seen.last, to = !stale && last > from && last <= total ? last : from;
    seen.last = to;
    if (shown || to > from) whenPainted(() => {
      if (shown) seen.echo ??= performance.now() - enter;
      for (let number = from + 1; number <= to; number++) seen.times[number] = Date.now();
    });
    seen.watched = performance.now() - enter;
    if ((seen.echo === null && !shown) || seen.last < total) requestAnimationFrame(frame);
    else setTimeout(finish, AFTER_MS);
  }

  window.porticoIdle = (ms) => new Promise((resolve) => {
    const begun = performance.now();
    requestAnimationFrame(function idle() {
      lastNumber();
      performance.now() - begun < ms ? requestAnimationFrame(idle) : resolve();
    });
  });

  const observer = new PerformanceObserver((list) => count(list.getEntries()));
  function count(entries) {
    seen.longFrames += entries.filter((entry) => enter && entry.startTime + entry.duration > enter).length;
  }

  window.porticoLab = new Promise((resolve) => {
    finish = () => {
      count(observer.takeRecords());
      observer.disconnect();
      resolve(seen);
    };
    setTimeout(() => seen.entered || finish(), 10_000 + limit); // Enter never came
  });
  observer.observe({ type: "long-animation-frame" });
  addEventListener("keydown", function pressed(event) {
    if (event.key !== "Enter") return;
    removeEventListener("keydown", pressed, true);
    seen.entered = true;
    enter = Math.min(event.timeStamp, performance.now()); // when it was pressed, not when the page had time for it
    stale = lastNumber();
    setTimeout(finish, limit);
    requestAnimationFrame(frame);
  }, true);
}
