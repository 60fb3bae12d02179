package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"golang.org/x/net/netutil"
)

// Server is an API on a socket.
type Server struct {
	address string
	http    *http.Server
	stop    context.CancelFunc // ends the handler's closing context
	cut     context.CancelFunc // ends its cut context
	done    chan struct{}      // closed when serving ended
	err     error              // why, once done is closed; nil after a shutdown
}

// Listen serves grid at a TCP address, "127.0.0.1:0" for a free port, until
// Shutdown. It returns once the socket takes connections. An address that other
// machines can reach needs a token: ErrTokenRequired.
func Listen(address string, grid Grid, o Options) (*Server, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	bound, ok := listener.Addr().(*net.TCPAddr)
	if o.Token == "" && (!ok || !bound.IP.IsLoopback()) {
		return nil, errors.Join(fmt.Errorf("%w: %s", ErrTokenRequired, listener.Addr()), listener.Close())
	}
	h := newHandler(grid, o)
	closing, stop := context.WithCancel(context.Background())
	h.closing = closing
	cutting, cut := context.WithCancel(context.Background())
	h.cut = cutting
	s := &Server{
		address: listener.Addr().String(),
		http: &http.Server{
			Handler:           h.routes(o),
			ReadHeaderTimeout: headerTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    HeaderBytes,
			ErrorLog:          slog.NewLogLogger(h.logger.Handler(), slog.LevelDebug),
		},
		stop: stop,
		cut:  cut,
		done: make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		err := s.http.Serve(netutil.LimitListener(listener, Connections))
		if !errors.Is(err, http.ErrServerClosed) {
			s.err = fmt.Errorf("api: %w", err)
		}
	}()
	return s, nil
}

// Address is the host:port that is served.
func (s *Server) Address() string { return s.address }

// URL is where the API is, without a path: http://127.0.0.1:PORT.
func (s *Server) URL() string { return "http://" + s.address }

// Done is closed when the server no longer serves; Err then says why.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err is why serving ended; nil while it goes on and after a shutdown.
func (s *Server) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Shutdown takes no more requests and waits for the answers under way, until
// ctx ends; then it cuts them off, with an error for whoever takes it at once.
// Event streams end at once.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop()
	defer s.cut()
	err := s.http.Shutdown(ctx)
	if err != nil {
		s.cut()
		more, cancel := context.WithTimeout(context.WithoutCancel(ctx), cutTime)
		defer cancel()
		_ = s.http.Shutdown(more) // Close ends what is left
		err = errors.Join(err, s.http.Close())
	}
	<-s.done
	return err
}
