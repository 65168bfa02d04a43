package protocol

// SetNonce replaces the random nonce of a stream that does not run yet.
func SetNonce(s *Stream, fn func() []byte) { s.nonce = fn }

// Capability is what a Feed message of the native dialect carries.
var Capability = capability
