// What is seen of the brand: the computed style of each place, once as the page is and once without the stylesheets that contain
// `marker`, which are the frontend's own rules on its library's classes.
({ places, marker, logo, family }) => {
  const still = new CSSStyleSheet(); // else a value would still be on its way from one to the other
  still.replaceSync("*, ::before, ::after { transition: none !important; animation: none !important; }");
  const own = all("style").filter((style) => style.textContent.includes(marker));
  const clear = (colour) => /^rgba\(.*, 0\)$|^transparent$/.test(colour);
  const inside = (element, style) => element.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);

  /** The value of one place, null where there is no such place; a background that is clear is that of what lies behind. */
  const value = ([selector, property]) => {
    const [where, pseudo] = selector.split("::");
    const element = all(where).find((each) => each.getClientRects().length);
    if (!element) return null;
    const style = getComputedStyle(element, pseudo ? `::${pseudo}` : null);
    if (pseudo && pseudo !== "placeholder" && style.content === "none") return null;
    if (property === "content-width") return `${inside(element, style)}px`;
    if (property === "border-top-color" && !(parseFloat(style.borderTopWidth) > 0)) return "no border";
    if (property !== "background-color" || pseudo) return style.getPropertyValue(property);
    let behind = element;
    while (clear(getComputedStyle(behind).backgroundColor) && parent(behind)) behind = parent(behind);
    return getComputedStyle(behind).backgroundColor;
  };
  const plain = (text) => { try { return decodeURIComponent(text); } catch { return text; } };
  const draws = (element) => ["", "::before", "::after"].some((pseudo) => {
    const style = getComputedStyle(element, pseudo || null);
    return plain(style.maskImage + style.backgroundImage).includes(logo.path);
  }) || (element.localName === "img" && (plain(element.src).includes(logo.path) || logo.files.includes(element.src)))
    || (element.localName === "path" && element.getAttribute("d") === logo.path);
  const read = () => ({
    places: Object.fromEntries(Object.entries(places).map(([token, list]) => [token, list.map(value).find((one) => one !== null) ?? null])),
    loaded: [...document.fonts].some((face) => face.family.replaceAll('"', "") === family && face.status === "loaded"),
    logo: all("body *").some((element) => draws(element) && shown(element)),
    title: document.title,
    icon: [...document.querySelectorAll("link[rel~=icon]")].at(-1)?.href ?? "",
  });
  document.activeElement?.blur();
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, still];
  const dressed = read();
  own.forEach((style) => (style.sheet.disabled = true));
  const bare = read();
  own.forEach((style) => (style.sheet.disabled = false));
  document.adoptedStyleSheets = document.adoptedStyleSheets.filter((sheet) => sheet !== still);
  return { dressed, bare, own: own.length };
}
