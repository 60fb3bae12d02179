package pt

import (
	"fmt"

	"github.com/zetagrid/zetagrid/tcn/modelfile/element"
)

// The values a pickle may hold, besides nil, bool, int64, float64 and string.
type (
	// dict is a dict or an OrderedDict, in order of insertion.
	dict struct {
		keys   []any // string or int64
		values []any
		index  map[any]int
	}
	list  struct{ items []any }
	tuple []any
	// global is a name that the pickle asked for and may have.
	global string
	// mark is where a run of stack items begins; it never leaves the stack.
	mark struct{}
	// storage is a run of numbers in an entry of its own.
	storage struct {
		kind  element.Type
		key   string
		count int64
	}
	tensor struct {
		storage storage
		offset  int64
		shape   []int64
		stride  []int64
		numbers int64 // product of shape; set by measure
		last    int64 // index of the last number in the storage; set by measure
	}
)

func (d *dict) get(key any) (value any, ok bool) {
	i, ok := d.index[key]
	if !ok {
		return nil, false
	}
	return d.values[i], true
}

func (d *dict) set(key, value any) error {
	switch key.(type) {
	case string, int64:
	default:
		return fmt.Errorf("%w: a %s as a dict's key", ErrRefused, typeName(key))
	}
	if _, known := d.index[key]; known {
		return fmt.Errorf("%w: dict key %q comes twice", ErrFormat, fmt.Sprint(key))
	}
	if d.index == nil {
		d.index = make(map[any]int)
	}
	d.index[key] = len(d.keys)
	d.keys = append(d.keys, key)
	d.values = append(d.values, value)
	return nil
}

// The names a pickle may ask for.
const (
	orderedDict   global = "collections OrderedDict"
	rebuildTensor global = "torch._utils _rebuild_tensor_v2"
)

var storageKinds = map[global]element.Type{
	"torch FloatStorage":    element.F32,
	"torch HalfStorage":     element.F16,
	"torch BFloat16Storage": element.BF16,
	"torch DoubleStorage":   element.F64,
	"torch LongStorage":     element.I64,
	"torch IntStorage":      element.I32,
	"torch ShortStorage":    element.I16,
	"torch CharStorage":     element.I8,
	"torch ByteStorage":     element.U8,
	"torch BoolStorage":     element.Bool,
}

// findGlobal is the closed list.
func findGlobal(module, name string) (global, error) {
	g := global(module + " " + name)
	if _, ok := storageKinds[g]; ok || g == orderedDict || g == rebuildTensor {
		return g, nil
	}
	return "", fmt.Errorf("%w: the pickle asks for %s.%s; only plain values and tensors are read", ErrRefused, module, name)
}

// call is what REDUCE does for the two functions it may call.
func call(function, arguments any) (any, error) {
	args, ok := arguments.(tuple)
	if !ok {
		return nil, fmt.Errorf("%w: call with a %s for arguments", ErrFormat, typeName(arguments))
	}
	switch function {
	case orderedDict:
		if len(args) != 0 {
			return nil, fmt.Errorf("%w: OrderedDict with arguments", ErrRefused)
		}
		return &dict{}, nil
	case rebuildTensor:
		return newTensor(args)
	}
	return nil, fmt.Errorf("%w: call of a %s", ErrRefused, typeName(function))
}

// newTensor reads the arguments of _rebuild_tensor_v2: storage, offset, size,
// stride, requires_grad, backward hooks and perhaps metadata. The last three
// mean nothing to a reader of numbers, but must be plain.
func newTensor(args tuple) (*tensor, error) {
	if len(args) != 6 && len(args) != 7 {
		return nil, fmt.Errorf("%w: tensor of %d arguments, want 6 or 7", ErrFormat, len(args))
	}
	t := &tensor{}
	var ok [4]bool
	t.storage, ok[0] = args[0].(storage)
	t.offset, ok[1] = args[1].(int64)
	t.shape, ok[2] = integers(args[2])
	t.stride, ok[3] = integers(args[3])
	if ok != [4]bool{true, true, true, true} {
		return nil, fmt.Errorf("%w: tensor of %s, %s, %s, %s, want storage, int, tuple, tuple", ErrFormat,
			typeName(args[0]), typeName(args[1]), typeName(args[2]), typeName(args[3]))
	}
	if len(t.shape) > Dimensions || len(t.stride) > Dimensions {
		return nil, fmt.Errorf("%w: tensor of %d dimensions, limit %d", ErrTooLarge, len(t.shape), Dimensions)
	}
	if hooks, ok := args[5].(*dict); !ok || len(hooks.keys) > 0 {
		return nil, fmt.Errorf("%w: tensor with backward hooks", ErrRefused)
	}
	return t, nil
}

func integers(v any) ([]int64, bool) {
	items, ok := v.(tuple)
	if !ok {
		return nil, false
	}
	out := make([]int64, len(items))
	for i, item := range items {
		if out[i], ok = item.(int64); !ok {
			return nil, false
		}
	}
	return out, true
}

// newStorage reads a persistent id: ("storage", type, key, device, count).
func newStorage(id any) (storage, error) {
	args, ok := id.(tuple)
	if !ok || len(args) != 5 || args[0] != "storage" {
		return storage{}, fmt.Errorf("%w: persistent id is not a storage of 5 parts", ErrFormat)
	}
	kind, _ := args[1].(global)
	key, keyOK := args[2].(string)
	_, deviceOK := args[3].(string)
	count, countOK := args[4].(int64)
	if storageKinds[kind] == 0 || !keyOK || !deviceOK || !countOK {
		return storage{}, fmt.Errorf("%w: storage of %s, %s, %s, %s", ErrFormat,
			typeName(args[1]), typeName(args[2]), typeName(args[3]), typeName(args[4]))
	}
	return storage{kind: storageKinds[kind], key: key, count: count}, nil
}

// typeName is what Python would call v.
func typeName(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return "bool"
	case int64:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case *dict:
		return "dict"
	case *list:
		return "list"
	case tuple:
		return "tuple"
	case storage:
		return "storage"
	case *tensor:
		return "tensor"
	case global:
		return string(v)
	}
	return "mark"
}
