package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
)

// RequestIDHeader carries the name of a request, which the log repeats.
const RequestIDHeader = "X-Request-Id"

// observed names, times, counts and logs every request, and turns a panic into
// an error. Nothing of the request's text is logged.
func (h *handler) observed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		var name [12]byte
		_, _ = rand.Read(name[:]) // never fails
		id := hex.EncodeToString(name[:])
		w.Header().Set(RequestIDHeader, id)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		r = r.WithContext(context.WithValue(r.Context(), requestID{}, id))
		seen := &recorder{ResponseWriter: w}
		defer func() {
			failure, begun := recover(), seen.status != 0
			if failure != nil && failure != http.ErrAbortHandler {
				h.logger.Error("panic", "request", id, "failure", failure, "stack", string(debug.Stack()))
				if !begun {
					h.fail(seen, r, errPanic)
				}
			}
			route := r.Pattern
			if route == "" {
				route = "none"
			}
			elapsed := time.Since(start)
			h.metrics.request(route, seen.status, elapsed)
			h.logger.Info("request", "request", id, "method", r.Method, "route", route,
				"status", seen.status, "bytes", seen.bytes, "ms", elapsed.Milliseconds())
			if failure != nil && begun {
				panic(http.ErrAbortHandler) // an answer cut short must not look whole
			}
		}()
		h.limitBody(w, r)
		next.ServeHTTP(seen, r)
	})
}

// guarded refuses what a browser was tricked into sending: requests that a page
// of another site makes, and, when no token protects the API, requests for a
// name that is not this machine's own (DNS rebinding).
func (h *handler) guarded(token string, next http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token == "" && !loopbackName(r.Host) {
			h.refuse(w, r, refusal(http.StatusForbidden, codeHost, "",
				"without a token only localhost, 127.0.0.1 and [::1] are answered"))
			return
		}
		if err := origin.Check(r); err != nil {
			h.refuse(w, r, refusal(http.StatusForbidden, codeOrigin, "", "%s", err))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// loopbackName reports whether a Host header names this machine to itself.
func loopbackName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// authorized lets through whoever knows the token. Hashes are compared, so the
// time taken tells neither the token nor its length.
func (h *handler) authorized(token string, next http.Handler) http.Handler {
	if token == "" {
		return next
	}
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, sent, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		got := sha256.Sum256([]byte(sent))
		if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			h.refuse(w, r, refusal(http.StatusUnauthorized, codeKey, "", "wrong or missing bearer token"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// requestID is the context key of a request's name.
type requestID struct{}

// idOf is the name that observed gave the request.
func idOf(r *http.Request) string {
	id, _ := r.Context().Value(requestID{}).(string)
	return id
}

// recorder notes what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
