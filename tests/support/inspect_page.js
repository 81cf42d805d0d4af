// What can be seen of a page, as JSON: sizes, overflow, charts, texts that overlap or lack contrast.
(() => {
  const visible = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });

  const channels = (colour) => {
    const [r, g, b, a = 1] = colour.match(/[\d.]+/g).map(Number);
    const whole = colour.startsWith("color(srgb") ? 255 : 1; // a mix of colours has shares of 1
    return { rgb: [r, g, b].map((c) => c * whole), a };
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const { rgb, a } = channels(getComputedStyle(e).backgroundColor);
      if (a > 0) return rgb;
    }
    return matchMedia("(prefers-color-scheme: dark)").matches &&
      getComputedStyle(document.documentElement).colorScheme.includes("dark") ? [18, 18, 18] : [255, 255, 255];
  };
  const contrast = (element) => {
    const style = getComputedStyle(element);
    const { rgb } = channels(element instanceof SVGElement ? style.fill : style.color);
    const [light, dark] = [luminance(rgb), luminance(ground(element))].sort((x, y) => y - x);
    return (light + 0.05) / (dark + 0.05);
  };

  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, element = node.parentElement;
    if (!node.data.trim() || element.closest("title, style, script, defs") || !visible(element)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const r of range.getClientRects()) {
      if (r.width > 0.5) texts.push({ node, element, text: node.data.trim().slice(0, 40), r });
    }
  }

  const slack = 3;  // boxes are higher than their letters
  const overlaps = [];
  texts.forEach((one, i) => texts.slice(i + 1).forEach((two) => {
    if (one.node === two.node) return;
    const across = Math.min(one.r.right, two.r.right) - Math.max(one.r.left, two.r.left);
    const down = Math.min(one.r.bottom, two.r.bottom) - Math.max(one.r.top, two.r.top);
    if (across > 1 && down > slack) overlaps.push(`${one.text} / ${two.text}`);
  }));

  return {
    text: document.body.innerText,
    overflow: document.documentElement.scrollWidth - innerWidth,
    outside: texts.filter(({ element, r }) => (r.left < -0.5 || r.right > innerWidth + 0.5) &&
      !element.closest(".scroll")).map(({ text }) => text),
    overlaps,
    faint: texts.filter(({ element }) => contrast(element) < 4.5)
      .map(({ text, element }) => `${text} (${contrast(element).toFixed(2)})`),
    small: texts.filter(({ r }) => r.height < 9).map(({ text }) => text),
    charts: [...document.querySelectorAll("svg")].map((svg) => {
      const { width, height } = svg.getBoundingClientRect();
      const drawn = [...svg.querySelectorAll("path, circle")].filter((shape) => {
        const box = shape.getBBox();
        return box.width + box.height > 0;
      });
      const bent = [...svg.querySelectorAll(".curve, circle")].filter((shape) => {
        const box = shape.getBBox();
        return box.width + box.height > 0;
      });
      return { title: svg.getAttribute("aria-label"), width, height, shapes: drawn.length, curves: bent.length };
    }),
    images: document.images.length,
    scripts: document.scripts.length,
    hacked: typeof window.hacked !== "undefined",
  };
})()
