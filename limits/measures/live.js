// Listens as a screen reader does: from now on window.limitsHeard holds what each live region said anew, when, and whether it was raw
// Markdown. A label counts as speech; what is in code is no Markdown that was left over.
() => {
  const REGIONS = "[aria-live], [role=status], [role=log], [role=alert], output";
  const RAW = /\*\*|```|\|[^|\n]*\||^#{1,6} |\]\(http/m;
  const listens = (region) => (region.getAttribute("aria-live") ?? "polite") !== "off";
  const spoken = (node) => {
    if (node.nodeType === Node.TEXT_NODE) return node.data;
    if (node.nodeType !== Node.ELEMENT_NODE || node.ariaHidden === "true" || /^(script|style|code|pre)$/.test(node.localName)) return "";
    if (!node.checkVisibility({ visibilityProperty: true })) return "";
    const below = [...(node.shadowRoot ?? node).childNodes].map(spoken).join("");
    return node.ariaLabel ? `${node.ariaLabel}\n${below}` : below;
  };
  const said = new Map(), heard = (window.limitsHeard = []);
  const listen = (first) => {
    for (const region of all(REGIONS).filter(listens)) {
      const text = spoken(region), before = said.get(region) ?? "";
      if (text === before) continue;
      said.set(region, text);
      if (first || !text.trim()) continue;
      const at = RAW.exec(before) ? -1 : RAW.exec(text)?.index ?? -1;
      const raw = at < 0 ? "" : text.slice(Math.max(0, at - 30), at + 30).replace(/\s+/g, " ");
      heard.push({ at: Date.now(), who: named(region), text: short(text), raw });
    }
  };
  listen(true);
  const watch = new MutationObserver(() => listen(false));
  for (const root of roots()) watch.observe(root, { subtree: true, childList: true, characterData: true, attributes: true });
}
