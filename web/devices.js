// Says what Gradio leaves unsaid: that the browser gives no camera, or no picture to paste.
(() => {
  const said = __SAID__; // HTML, in all languages

  const clear = () => document.getElementById("device_wrong")?.remove();

  function show(html) {
    clear();
    const note = document.createElement("div");
    note.id = "device_wrong";
    note.className = "message";
    note.innerHTML = `<p role="alert">${html}</p>`;
    const boxes = [...document.querySelectorAll("#picture, #camera")];
    boxes.find((box) => box.checkVisibility())?.after(note);
  }

  // What a device gives, if it is what is needed.
  function watch(device, name, key, isGood) {
    if (!device?.[name]) return;
    const plain = device[name].bind(device);
    device[name] = async (...given) => {
      try {
        const found = await plain(...given);
        if (!isGood(found)) show(said[key]);
        return found;
      } catch (error) {
        show(said[key]);
        throw error;
      }
    };
  }

  // It goes with whatever is tried next.
  const onNext = ({ target }) => target.closest?.("#language") || clear();
  for (const name of ["click", "drop", "paste"]) document.addEventListener(name, onNext, true);

  const isPicture = ({ types }) => types.some((type) => type.startsWith("image/"));
  watch(navigator.mediaDevices, "getUserMedia", "no_camera", () => true);
  watch(navigator.clipboard, "read", "no_paste", (items) => items.some(isPicture));
  // Browsers give neither to pages without https:// of other computers.
  document.documentElement.classList.toggle("insecure", !window.isSecureContext);
})();
