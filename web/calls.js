// No answer to a call is lost. Gradio gets the answers to all of a visitor's calls by one stream,
// which the server ends when no call is left. A call that comes to the server at that moment is
// taken to be answered by the stream that ends, and its answer never comes. So Gradio does not see
// the end while a call is left: the next stream is put in its place.
(() => {
  const plain = window.fetch;
  const waiting = new Set(); // calls without an answer, by their identifiers
  const asking = new Set(); // calls that the server has not taken yet

  async function join(given) {
    const answer = plain(...given);
    const taken = answer
      .then((response) => response.clone().json())
      .then(({ event_id: call }) => call && waiting.add(call))
      .catch(() => {})
      .finally(() => asking.delete(taken));
    asking.add(taken);
    await taken;
    return answer;
  }

  async function* events(answer) {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const whole = (text + part.value).split("\n\n");
      text = whole.pop();
      yield* whole;
    }
  }

  async function* messages(answer, again) {
    for (let next = answer; next.ok; next = await again()) {
      let ended = false;
      for await (const event of events(next)) {
        const { msg, event_id: call } = JSON.parse(event.replace(/^data:/, ""));
        if (msg === "process_completed") waiting.delete(call);
        ended = msg === "close_stream";
        if (ended) await Promise.all(asking);
        if (!ended || !waiting.size) yield `${event}\n\n`;
      }
      if (!ended) waiting.clear(); // the server has gone
      if (!waiting.size) return;
    }
  }

  async function stream(given) {
    const request = new Request(...given);
    const answer = await plain(request.clone());
    if (!answer.ok) return answer;
    const found = messages(answer, () => plain(request.clone()));
    const body = new ReadableStream({
      async pull(out) {
        const { done, value } = await found.next().catch((error) => {
          waiting.clear(); // Gradio tells of it
          throw error;
        });
        if (done) out.close();
        else out.enqueue(new TextEncoder().encode(value));
      },
      cancel: () => found.return(),
    });
    return new Response(body, answer);
  }

  window.fetch = (...given) => {
    const [target] = given;
    const { pathname } = new URL(target.url ?? target, window.location.href);
    if (pathname.endsWith("/queue/join")) return join(given);
    return pathname.endsWith("/queue/data") ? stream(given) : plain(...given);
  };
})();
