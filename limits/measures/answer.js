// Watches a question being asked and its answer coming, frame by frame; `window.porticoLab` is a promise of what was seen.
//
// Given: `mark`, a word of the question; `answer`, the selector of the last answer's text; `total`, the number it ends with; `limit`,
// after how many ms the watch is given up. Times are read in animation frames: what the document holds there is what is painted next.
([mark, answer, total, limit]) => {
  const seen = { entered: false, echo: null, times: {}, last: 0, longFrames: 0 };
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

  function frame() {
    if (seen.echo === null && messageIsVisible()) seen.echo = performance.now() - enter;
    const now = Date.now(), last = lastNumber();
    if (last !== stale) stale = 0; // until then an earlier answer is the last one
    while (!stale && seen.last < last && last <= total) seen.times[++seen.last] = now;
    if (seen.echo === null || seen.last < total) requestAnimationFrame(frame);
    else setTimeout(finish, 100); // a long frame is told after it was drawn
  }

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
    setTimeout(finish, limit);
  });
  observer.observe({ type: "long-animation-frame" });
  addEventListener("keydown", function pressed(event) {
    if (event.key !== "Enter") return;
    removeEventListener("keydown", pressed, true);
    seen.entered = true;
    enter = Math.min(event.timeStamp, performance.now()); // when it was pressed, not when the page had time for it
    stale = lastNumber();
    requestAnimationFrame(frame);
  }, true);
}
