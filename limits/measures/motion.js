// Watches what moves: window.limitsMotion gathers a name for each animation that runs. What changes colour, opacity or blur alone is
// no motion (WCAG's definition of "motion animation"), and what is over within a frame is none to an eye.
() => {
  const CALM = /^(opacity|filter|backdropFilter|fill|stroke|color|.*Color|.*Shadow|visibility|offset|computedOffset|easing|composite)$/;
  const SMIL = "animateTransform, animateMotion, animate:not([attributeName=opacity], [attributeName=fill], [attributeName=stroke])";
  const moved = (window.limitsMotion = {});
  const what = (one) => one.animationName ?? one.transitionProperty ?? (one.id || "a script's animation");
  const look = () => {
    for (const one of roots().flatMap((root) => root.getAnimations())) {
      const target = one.effect?.target, timing = one.effect?.getComputedTiming();
      if (one.playState !== "running" || !target || timing.duration <= 16 || !shown(target) || unseen(target)) continue;
      const changes = one.effect.getKeyframes().flatMap(Object.keys).filter((name) => !CALM.test(name));
      if (!changes.length) continue;
      const where = named(target).split(" “")[0] + (one.effect.pseudoElement ?? "");
      moved[`${what(one)} on ${where}`] = [...new Set(changes)].join(", ");
    }
    for (const one of all(SMIL)) {
      const drawing = one.ownerSVGElement;
      if (drawing && shown(drawing) && !drawing.animationsPaused()) moved[`${one.localName} in a drawing`] = one.getAttribute("attributeName") ?? "";
    }
  };
  look();
  window.limitsMotionClock = setInterval(look, 50);
}
