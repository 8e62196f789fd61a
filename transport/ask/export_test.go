package ask

// EscapeIdentity is what a question's header gets.
var EscapeIdentity = escapeIdentity
