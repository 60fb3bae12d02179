package api

import (
	"context"
	"net/http"
)

// modelObject is a model as /v1/models shows it.
type modelObject struct {
	ID      string   `json:"id"`
	Object  string   `json:"object"`
	Created int64    `json:"created"`
	OwnedBy string   `json:"owned_by"`
	Soul    string   `json:"soul,omitempty"` // the default Soul
	Souls   []string `json:"souls"`          // ask for one as "id:soul"
}

// modelList is the answer of /v1/models.
type modelList struct {
	Object string        `json:"object"`
	Data   []modelObject `json:"data"`
}

func objectOf(m Model) modelObject {
	return modelObject{
		ID: m.ID, Object: "model", Created: m.Created, OwnedBy: "zetagrid",
		Soul: m.Soul, Souls: append([]string{}, m.Souls...),
	}
}

func (h *handler) models(w http.ResponseWriter, r *http.Request) {
	list := modelList{Object: "list", Data: []modelObject{}}
	for _, m := range h.grid.Models() {
		list.Data = append(list.Data, objectOf(m))
	}
	h.answer(w, r, http.StatusOK, list)
}

func (h *handler) model(w http.ResponseWriter, r *http.Request) {
	models := h.grid.Models()
	i := find(models, r.PathValue("id"))
	if i < 0 {
		h.refuse(w, r, unknownModel(r.PathValue("id")))
		return
	}
	h.answer(w, r, http.StatusOK, objectOf(models[i]))
}

func (h *handler) status(w http.ResponseWriter, r *http.Request) {
	h.answer(w, r, http.StatusOK, h.grid.Status().filled())
}

// healthReply is the answer of /healthz.
type healthReply struct {
	Status  string `json:"status"`           // "ok": the process answers
	Covered bool   `json:"covered"`          // whether a prompt would find a chain now
	Device  string `json:"device,omitempty"` // whether the node's device computes: a DeviceState
}

// health answers 200 while the process lives. A grid with a hole is no reason
// to restart a node, so covered is told and not judged.
func (h *handler) health(w http.ResponseWriter, r *http.Request) {
	status := h.grid.Status()
	reply := healthReply{Status: "ok", Covered: status.Covered}
	if status.Device != nil {
		reply.Device = string(status.Device.State)
	}
	h.answer(w, r, http.StatusOK, reply)
}

// statusEvent is the kind of the first event of /api/v1/events; its data is a
// Status, the state that the following events change.
const statusEvent = "status"

func (h *handler) events(w http.ResponseWriter, r *http.Request) {
	select {
	case h.readers <- struct{}{}:
		defer func() { <-h.readers }()
	default:
		h.refuse(w, r, refusal(http.StatusTooManyRequests, codeRate, "", "%d callers follow the events already", EventStreams))
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(h.closing, cancel)()
	changes := h.grid.Events(ctx)
	stream, err := h.openEvents(w)
	if err != nil {
		return // the caller is gone; its context ends the subscription
	}
	if err := stream.send(statusEvent, h.grid.Status().filled()); err != nil {
		return
	}
	for change := range changes {
		if err := stream.send(string(change.Kind), change); err != nil {
			return
		}
	}
}
