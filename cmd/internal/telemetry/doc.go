// Package telemetry exports traces by OTLP, as the standard variables of OpenTelemetry
// say (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
// Ringcast has no settings of its own for that: who runs a collector has these in
// every pod already.
//
// Nothing is exported until one of them asks for it. The standard would have it to
// localhost unasked, and a broker that nobody has asked for traces is to make none.
//
// The protocol is http/protobuf. The exporter that speaks gRPC too, chosen at run time
// (contrib's autoexport), makes the binary 1.6 MB larger, beside 3.5 MB for this, and comes
// with the exporters of logs and metrics; every collector takes both protocols.
package telemetry
