// Keeps the newest value of each web vital in `window.porticoVitals`, with the element it is about; web-vitals stands before this.
const told = (window.porticoVitals = {});
for (const [name, watch, element] of [
  ["ttfb", webVitals.onTTFB], ["fcp", webVitals.onFCP], ["lcp", webVitals.onLCP, "target"], ["cls", webVitals.onCLS, "largestShiftTarget"],
]) {
  watch(({ value, attribution }) => { told[name] = { value, element: attribution[element] ?? "" }; }, { reportAllChanges: true });
}
