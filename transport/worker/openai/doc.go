// Package openai answers questions with a language model that is served in the way of
// OpenAI's chat completions (https://platform.openai.com/docs/api-reference/chat): by
// OpenAI itself, or by vLLM, llama.cpp, Ollama, LiteLLM and the many others.
//
//	m, err := openai.New(openai.Options{Endpoint: "http://localhost:11434/v1", Model: "llama3.2"})
//	w, err := worker.New(nc, worker.Options{Subject: "chat", Check: m.Check})
//	err = w.Run(ctx, m.Answer)
//
// cmd/openai-worker is that as a program.
//
// A question is {"messages":[{"role":"user","content":"…"}]} or {"prompt":"…"}, with any of
// the members of [Question]. Anything else is refused with 400, which names it. The answer:
//
//	add                 the text of each chunk
//	info                {"model":…}, {"usage":…}, and {"progress":"waiting"} now and then while
//	                    the model sends signs of life but no text
//	finish              {"reason":…}: the model's finish_reason, stop, length or content_filter
//	error               {"reason":…,"detail":…}, see the constants Reason…
//
// What it promises:
//   - When an answer is stopped, the request to the model is too.
//   - A stream that ends before the model has finished is an error.
//   - The key is in no error and no log, nor is what the endpoint says of it.
//
// What it does not promise: to try again. Who asked knows best whether it is still worth it;
// retry_after says when.
//
// Concurrency: a [Model] may be used from any number of goroutines.
package openai
