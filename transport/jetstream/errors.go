package jetstream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ringcast/broker"
)

// Errors of starting up. Those that only an operator can mend match ErrConfig;
// anything else is temporary and worth another try.
var (
	// ErrConfig: NATS refuses, or its stream does not fit, as configured. Trying
	// again does not help.
	ErrConfig = errors.New("NATS configuration does not fit")
	// ErrNoJetStream: the server answers, but has no JetStream for this account.
	// It matches ErrConfig too.
	ErrNoJetStream = errors.New("NATS server has no JetStream for this account (nats-server needs -js or a jetstream block)")
	// ErrDisconnected: there is no connection to a NATS server at the moment.
	ErrDisconnected = errors.New("not connected to NATS")
	// ErrStreamMissing: the stream does not exist (any more).
	ErrStreamMissing = errors.New("stream does not exist")
)

// configError is an error that matches ErrConfig and keeps its own text.
type configError struct{ err error }

func permanent(err error) error { return configError{err} }

func (e configError) Error() string        { return e.err.Error() }
func (e configError) Unwrap() error        { return e.err }
func (e configError) Is(target error) bool { return target == ErrConfig }

// apiCode returns the HTTP-like code of a JetStream API error, 0 for any other.
func apiCode(err error) int {
	if api := apiError(err); api != nil {
		return api.Code
	}
	return 0
}

func apiError(err error) *jetstream.APIError {
	var js jetstream.JetStreamError
	if errors.As(err, &js) {
		return js.APIError()
	}
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api
	}
	return nil
}

// startupError sorts an error of the JetStream API into permanent and temporary.
// A server that is overloaded or has no leader answers 503 as one without
// JetStream does, so those are told apart by their own codes.
func startupError(err error) error {
	switch api := apiError(err); {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount),
		errors.Is(err, nats.ErrNoResponders): // nobody serves the API
		return permanent(ErrNoJetStream)
	case api != nil && api.Code >= 400 && api.Code < 500 && api.Code != 408 && api.Code != 429:
		return permanent(err)
	case api != nil && permanentServerCodes[api.ErrorCode]:
		return permanent(err)
	case errors.Is(err, nats.ErrInvalidArg), errors.Is(err, jetstream.ErrInvalidStreamName), errors.Is(err, nats.ErrPermissionViolation):
		return permanent(err)
	}
	return err
}

// permanentServerCodes are JetStream errors with a 500 code that are about the
// configuration nonetheless
// (https://github.com/nats-io/nats-server/blob/main/server/errors.json).
var permanentServerCodes = map[jetstream.ErrorCode]bool{
	10047: true, // insufficient storage resources available
	10052: true, // stream configuration error
	10069: true, // stream configuration update error
	10074: true, // replicas > 1 not supported in non-clustered mode
}

// unavailable turns an error of a question to the stream into one that wraps
// broker.ErrUnavailable, except that the caller's own cancellation stays what it
// is. Whatever keeps the stream from answering (no connection, no leader, no
// stream, a timeout) means the same to who asked: not now.
func unavailable(ctx context.Context, verb string, err error) error {
	if err == nil {
		return nil
	}
	// In this order: a context that the connection ends in between was not the caller's to
	// cancel.
	canceled := errors.Is(ctx.Err(), context.Canceled)
	switch {
	case disconnected(ctx, err):
		err = ErrDisconnected
	case canceled:
		return fmt.Errorf("%s: %w", verb, context.Canceled)
	}
	return fmt.Errorf("%s: %w: %w", verb, broker.ErrUnavailable, err)
}

// disconnected reports whether err comes of having no connection, where ctx is
// of whileConnected. nats.go knows before its callbacks have told.
func disconnected(ctx context.Context, err error) bool {
	return context.Cause(ctx) == ErrDisconnected || errors.Is(err, ErrDisconnected) ||
		errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, nats.ErrConnectionReconnecting) || errors.Is(err, nats.ErrConnectionClosed)
}

// errAskTimeout is why a question that had to wait for others was not asked.
var errAskTimeout = errors.New("the stream did not answer in time")
