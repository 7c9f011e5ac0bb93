// The page in the reader's language: gives what its own components say to Gradio, and names what
// Gradio's components leave without a name or say by themselves. Runs when the page is loaded and
// when the language changes, without asking the server.
(language) => {
  const { lang, title, names, words, unseen, updates } = __TEXTS__[language];
  const rules = words.map(([pattern, text]) => [new RegExp(`^(?:${pattern})$`), text]);
  const ATTRIBUTES = ["aria-label", "aria-valuetext", "title", "alt", "placeholder"];
  const inWords = (said) => {
    const bare = said.trim();
    const [pattern, text] = rules.find(([each]) => each.test(bare)) ?? [];
    return pattern ? said.replace(bare, () => bare.replace(pattern, text)) : said;
  };

  // What Gradio said where our words are now, for the next language.
  const before = (window.wordsBefore ??= new WeakMap());

  function replace(node, key, now, put) {
    const known = before.get(node)?.[key];
    const said = known && known.ours === now ? known.said : now;
    const ours = inWords(said);
    if (ours !== said) before.set(node, { ...before.get(node), [key]: { said, ours } });
    if (ours !== now) put(ours);
  }

  function name(element) {
    for (const key of ATTRIBUTES) {
      const now = element.getAttribute(key);
      if (now) replace(element, key, now, (text) => element.setAttribute(key, text));
    }
  }

  function translate(node) {
    if (node.nodeType === Node.TEXT_NODE) {
      replace(node, "data", node.data, (text) => (node.data = text));
    } else if (node.nodeType === Node.ELEMENT_NODE) {
      name(node);
      node.childNodes.forEach(translate);
    }
  }

  // What a browser cannot show, such as TIFF, is said to be so.
  const isUnseen = (image) => image.complete && image.src && !image.naturalWidth;

  // Pictures beside words are for the eye alone.
  function rename() {
    for (const [selector, name] of Object.entries(names))
      document.querySelectorAll(selector).forEach((element) => {
        const attribute = element.tagName === "IMG" ? "alt" : "aria-label";
        const isMissing = selector === "#picture img" && isUnseen(element);
        const text = isMissing ? unseen : name;
        element.classList.toggle("unseen", Boolean(isMissing));
        if (element.getAttribute(attribute) !== text) element.setAttribute(attribute, text);
      });
    // What it says, Start or Stop, names it better than Gradio does.
    document.querySelector("#camera .capture-button")?.removeAttribute("aria-label");
    // Its library sets another one, sooner or later.
    document
      .querySelectorAll("#view canvas:not([tabindex='0'])")
      .forEach((canvas) => (canvas.tabIndex = 0));
    document
      .querySelectorAll("svg:not([aria-hidden]), footer img:not([aria-hidden])")
      .forEach((element) => element.setAttribute("aria-hidden", "true"));
  }

  window.endOfNames?.();
  const observer = new MutationObserver((changes) => {
    for (const change of changes) {
      if (change.type === "childList") change.addedNodes.forEach(translate);
      else if (change.type === "attributes") name(change.target);
      else translate(change.target);
    }
    rename();
  });
  document.documentElement.lang = lang;
  document.title = title;
  translate(document.body);
  rename();
  observer.observe(document.body, {
    childList: true,
    subtree: true,
    characterData: true,
    attributes: true,
    attributeFilter: [...ATTRIBUTES, "tabindex"],
  });
  for (const end of ["load", "error"]) document.addEventListener(end, rename, true);
  window.endOfNames = () => {
    observer.disconnect();
    for (const end of ["load", "error"]) document.removeEventListener(end, rename, true);
  };
  return updates;
}
