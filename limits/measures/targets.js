// What can be pressed now: its name and its box in CSS pixels. A radio button or a box to tick is as large as its label with it;
// links in a line of text are left out, as WCAG 2.5.8 and 2.5.5 do.
() => {
  const PRESSED = "a[href], button, input:not([type=hidden]), select, textarea, summary, [role=button], [role=link], " +
    "[role=checkbox], [role=radio], [role=switch], [role=tab], [role=menuitem], [role=option], [role=combobox], [role=slider]";
  const inText = (link) => {
    if (link.localName !== "a" || getComputedStyle(link).display !== "inline") return false;
    let block = parent(link);
    while (block && getComputedStyle(block).display === "inline") block = parent(block);
    return block && block.innerText.trim().length > link.innerText.trim().length;
  };
  const found = [];
  for (const element of all(PRESSED)) {
    if (element.disabled || element.ariaDisabled === "true" || element.closest("[inert]") || inText(element)) continue;
    if (element.localName === "input" && element.parentElement?.closest("button, [role=button]")) continue;
    const labels = /^(radio|checkbox)$/.test(element.type) ? [...(element.labels ?? [])] : [];
    const boxes = [element, ...labels].filter((each) => shown(each) && !unseen(each) && !away(each)).map((each) => each.getBoundingClientRect());
    if (!boxes.length) continue;
    const left = Math.min(...boxes.map((box) => box.left)), right = Math.max(...boxes.map((box) => box.right));
    const top = Math.min(...boxes.map((box) => box.top)), bottom = Math.max(...boxes.map((box) => box.bottom));
    found.push({ name: named(element), left, top, right, bottom });
  }
  return found;
}
