package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/node"
	"github.com/zetagrid/zetagrid/node/api"
	"github.com/zetagrid/zetagrid/node/content"
	"github.com/zetagrid/zetagrid/node/p2p"
	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/plan"
	"github.com/zetagrid/zetagrid/tcn/quantize"
)

// errUsage marks a command line that asks for nothing sensible: exit status 2.
var errUsage = errors.New("usage")

// usageError is a wrong command line; command says whose help explains it.
type usageError struct {
	err     error
	command string
}

func (e *usageError) Error() string {
	return fmt.Sprintf("%v: see %s --help", e.err, e.command)
}

func (e *usageError) Unwrap() []error { return []error{errUsage, e.err} }

// usagef makes a usage error of the command, which is named as typed
// ("model init").
func usagef(command, format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...), "zetagrid " + command}
}

// asUsage turns a parse error into a usage error that names the command it got
// to. What is no parse error, such as help that cannot be written, stays as it is.
func asUsage(err error) error {
	var parse *kong.ParseError
	if !errors.As(err, &parse) {
		return err
	}
	command, names := "zetagrid", true // what follows must be a command's name
	if parse.Context != nil {
		if selected := parse.Context.Selected(); selected != nil {
			command, names = selected.FullPath(), len(selected.Children) > 0
		}
	}
	_, path, _ := strings.Cut(command, " ")
	text := strings.TrimPrefix(err.Error(), path+": ") // kong's, of what Validate says
	if word, found := strings.CutPrefix(text, "unexpected argument "); found && names {
		text = "there is no command " + word
		word, _, _ = strings.Cut(word, ",") // and a guess at what was meant
		if name := strings.TrimSpace(path + " " + word); slices.Contains(planned, name) {
			text = name + " is not in this version yet"
		}
	}
	return &usageError{errors.New(text), command}
}

// planned is the commands that have their names and nothing else so far.
var planned = []string{
	"soul", "sim", "grid top", "grid drain", "bench failover",
	"model export", "model publish", "model get",
}

// remedy is an error that says what to do about it.
type remedy struct {
	err error
	do  string
}

func (r *remedy) Error() string { return r.err.Error() + ": " + r.do }
func (r *remedy) Unwrap() error { return r.err }

// remedies says what to do about the errors a user meets; the first that
// matches counts.
var remedies = []struct {
	is error
	do string
}{
	{context.Canceled, "stopped before it was done"},
	{session.ErrCanceled, "stopped before it was done"},
	{session.ErrUncovered, "start nodes that own them (zetagrid up --blocks LO-HI --bootstrap ADDRESS); zetagrid grid map shows who owns what"},
	{session.ErrModel, "ask a node that serves it, or give --model"},
	{session.ErrSoul, `use --soul none, or leave --soul out for the model's own`},
	{session.ErrTooLong, "shorten the prompt; zetagrid model inspect shows the model's positions"},
	{session.ErrBusy, "try again when a generation has ended"},
	{session.ErrHopLost, "ask again; zetagrid grid status shows which nodes are left"},
	{session.ErrRefused, "look at that node's log, or ask again"},
	{session.ErrDeadline, "ask again; zetagrid doctor tests the network"},
	{api.ErrTokenRequired, "give --token, or listen on 127.0.0.1"},
	{api.ErrUnauthorized, "give the node's --token"},
	{api.ErrReply, "name a zetagrid node with --api"},
	{api.ErrUnreachable, "start a node (zetagrid up) or name one with --api"},
	{p2p.ErrIncarnation, "restore the file, or name another folder with --data"},
	{p2p.ErrOptions, "check --listen and --announce (multiaddrs of UDP ports) and --bootstrap (multiaddrs ending in /p2p/PEER)"},
	{p2p.ErrListen, "name an address of this machine and a free UDP port with --listen; port 0 picks one"},
	{p2p.ErrInUse, "stop that node, or name another folder with --data"},
	{quantize.ErrSource, "name a model folder of float32 weights"},
	{quantize.ErrInUse, "wait for the other process, or name another folder with --out"},
	{syscall.EADDRINUSE, "name another address with --api or --listen, or port 0 for a free one"},
	{content.ErrAbsent, "name a model folder, or let zetagrid up --bootstrap ADDRESS fetch it first"},
	{content.ErrDisk, "make room, or name another folder with --data"},
	{content.ErrCorrupt, "copy or import the model again"},
	{plan.ErrGPU, "zetagrid plan --list-gpus shows the kinds there are, --gpu-table FILE adds others"},
	{plan.ErrTable, "it must be a list of objects with name, memory_gb, bandwidth_gbs and int8_tops"},
	{plan.ErrArgument, "see zetagrid plan --help"},
	{fs.ErrPermission, "check who may read or write it, or name another"},
	{modelfile.ErrShapeOnly, "zetagrid plan and model inspect work on it; to run, name a model with weights"},
	{modelfile.ErrOutput, "name a new or empty folder with --out"},
	{modelfile.ErrFolder, "name the folder that zetagrid model import or init made"},
	{modelfile.ErrCorrupt, "copy or import the model again"},
	{device.ErrNotBuilt, "until then leave --device out: the processor gives the same bytes"},
	{device.ErrNoDriver, "zetagrid doctor says why; without --device the processor gives the same bytes"},
	{device.ErrNoDevice, "zetagrid doctor lists the devices of this machine"},
	{device.ErrUnsupported, "zetagrid doctor says what the device lacks; without --device the processor gives the same bytes"},
	{tcn.ErrNoRoom, "own fewer blocks (--blocks, --memory), name more devices (--device), or end what else uses the device's memory"},
	{node.ErrOptions, "zetagrid model inspect shows the blocks to choose from"},
	{tcn.ErrDevice, "zetagrid doctor tests the device; start the node again once it works"},
	{tcn.ErrDigest, "compute with another device (--device), or force another level of the processor with " + kernelVariable + ", and report this with zetagrid version"},
	{syscall.ENOSPC, "make room, or name another folder"},
	{fs.ErrExist, "name another folder, or remove this one"},
	{fs.ErrNotExist, "check the name"},
	{modelfile.ErrConfig, "correct the config"},
	{tcn.ErrConfig, "correct the config"},
	{syscall.EISDIR, "name a file"},
}

// withRemedy adds what to do about err, unless it says so already. command is
// the command that failed, as typed.
func withRemedy(err error, command string) error {
	var has *remedy
	var usage *usageError
	if errors.As(err, &has) || errors.As(err, &usage) {
		return err
	}
	for _, r := range remedies {
		if errors.Is(err, r.is) {
			return &remedy{err, r.do}
		}
	}
	return &remedy{err, command + " --help says what it needs"}
}
