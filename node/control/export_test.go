package control

import "net/http"

// Handler is what a server answers requests with.
func Handler(s *Server) http.Handler { return s.http.Handler }

// Frames of blocks.
var (
	AppendFrame = appendFrame
	ReadFrame   = readFrame
)
