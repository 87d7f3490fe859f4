package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
	"sigs.k8s.io/yaml"
)

const (
	healthKey  = "resource.customizations.health."
	actionsKey = "resource.customizations.actions."
	luaLimit   = time.Second // Argo CD's own
)

var healthStates = []string{"Healthy", "Progressing", "Degraded", "Suspended", "Missing", "Unknown"}

// argoCD holds the customizations of an argocd-cm ConfigMap, by GROUP_KIND.
type argoCD struct {
	scripts map[string]string
	actions map[string]actionSet
}

type actionSet struct {
	Discovery   string `json:"discovery.lua"`
	Definitions []struct {
		Name   string `json:"name"`
		Script string `json:"action.lua"`
	} `json:"definitions"`
}

// action is one that a person is offered.
type action struct {
	Name       string      `json:"name"`
	Disabled   bool        `json:"disabled"`
	Parameters []parameter `json:"params,omitempty"`
}

type parameter struct {
	Name    string `json:"name"`
	Default string `json:"default,omitempty"`
}

// patched is what running an action comes to: the merge patch that Argo CD would send, or why it refuses.
type patched struct {
	Patch json.RawMessage `json:"patch,omitempty"`
	Error string          `json:"error,omitempty"`
}

func readArgo(path string) (*argoCD, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	settings := corev1.ConfigMap{}
	if err := yaml.UnmarshalStrict(text, &settings); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	out := &argoCD{scripts: map[string]string{}, actions: map[string]actionSet{}}
	for key, value := range settings.Data {
		if kind, found := strings.CutPrefix(key, healthKey); found {
			out.scripts[kind] = value
		}
		if kind, found := strings.CutPrefix(key, actionsKey); found {
			set := actionSet{}
			if err := yaml.UnmarshalStrict([]byte(value), &set); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", path, key, err)
			}
			out.actions[kind] = set
		}
	}
	return out, nil
}

func keyOf(object *unstructured.Unstructured) string {
	kind := object.GroupVersionKind()
	return kind.Group + "_" + kind.Kind
}

func (argo *argoCD) health(object *unstructured.Unstructured) (verdict, error) {
	if object.GetDeletionTimestamp() != nil { // Argo CD asks no script then
		return verdict{Status: "Progressing", Message: "Pending deletion"}, nil
	}
	script, found := argo.scripts[keyOf(object)]
	if !found {
		return verdict{}, fmt.Errorf("there is no health script for %s", keyOf(object))
	}
	returned, err := runLua(object, script, nil)
	if err != nil {
		return verdict{}, fmt.Errorf("the health script of %s: %w", keyOf(object), err)
	}
	table, fits := returned.(map[string]any)
	if !fits {
		return verdict{}, fmt.Errorf("the health script of %s returned no table", keyOf(object))
	}
	out := verdict{}
	out.Status, _ = table["status"].(string)
	out.Message, _ = table["message"].(string)
	if !slices.Contains(healthStates, out.Status) {
		return verdict{}, fmt.Errorf("the health script of %s returned the status %q", keyOf(object), out.Status)
	}
	return out, nil
}

func (argo *argoCD) discover(object *unstructured.Unstructured) ([]action, error) {
	set := argo.actions[keyOf(object)]
	returned, err := runLua(object, set.Discovery, nil)
	if err != nil {
		return nil, fmt.Errorf("the discovery script of %s: %w", keyOf(object), err)
	}
	table, _ := returned.(map[string]any)
	out := []action{}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		item := action{}
		if text, err := json.Marshal(table[name]); err != nil {
			return nil, err
		} else if string(text) != "[]" { // an empty table looks like an empty list
			if err := json.Unmarshal(text, &item); err != nil {
				return nil, err
			}
		}
		item.Name = name
		out = append(out, item)
	}
	return out, nil
}

func (argo *argoCD) act(object *unstructured.Unstructured, name string, parameters map[string]string) patched {
	for _, definition := range argo.actions[keyOf(object)].Definitions {
		if definition.Name == name {
			return patchOf(object, definition.Script, parameters)
		}
	}
	return patched{Error: fmt.Sprintf("there is no action %q for %s", name, keyOf(object))}
}

func patchOf(object *unstructured.Unstructured, script string, parameters map[string]string) patched {
	returned, err := runLua(object, script, parameters)
	if err != nil {
		told := &lua.ApiError{}
		if errors.As(err, &told) && told.Object != nil {
			return patched{Error: told.Object.String()}
		}
		return patched{Error: err.Error()}
	}
	table, fits := returned.(map[string]any)
	if !fits {
		return patched{Error: "the action returned no object"}
	}
	before, err := object.MarshalJSON()
	if err != nil {
		return patched{Error: err.Error()}
	}
	after, err := json.Marshal(restored(table, object.Object))
	if err != nil {
		return patched{Error: err.Error()}
	}
	patch, err := jsonmergepatch.CreateThreeWayJSONMergePatch(before, after, before)
	if err != nil {
		return patched{Error: err.Error()}
	}
	return patched{Patch: patch}
}

// restored puts back what Lua cannot tell apart: an empty list for what was an empty map before.
func restored(now any, before any) any {
	switch old := before.(type) {
	case map[string]any:
		if list, fits := now.([]any); fits && len(list) == 0 {
			return old
		}
		table, fits := now.(map[string]any)
		if !fits {
			return now
		}
		for key, value := range table {
			table[key] = restored(value, old[key])
		}
		return table
	case []any:
		list, fits := now.([]any)
		for index := 0; fits && index < min(len(list), len(old)); index++ {
			list[index] = restored(list[index], old[index])
		}
		return now
	}
	return now
}

// runLua runs a script as Argo CD does for scripts of its settings: base, table and package libraries and no others (no
// string, math or io), the object in `obj`, an action's parameters in `actionParams`, one second of time. Of Argo CD's
// cut-down os library nothing is here: our scripts need no clock.
func runLua(object *unstructured.Unstructured, script string, parameters map[string]string) (any, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{
		lua.LoadLibName: lua.OpenPackage,
		lua.BaseLibName: lua.OpenBase,
		lua.TabLibName:  lua.OpenTable,
	} {
		call := lua.P{Fn: state.NewFunction(open), NRet: 0, Protect: true}
		if err := state.CallByParam(call, lua.LString(name)); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), luaLimit)
	defer cancel()
	state.SetContext(ctx)
	given := state.NewTable()
	for name, value := range parameters {
		given.RawSetString(name, lua.LString(value))
	}
	state.SetGlobal("actionParams", given)
	state.SetGlobal("obj", toLua(state, object.Object))
	if err := state.DoString(script); err != nil {
		return nil, err
	}
	return fromLua(state.Get(-1)), nil
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch known := value.(type) {
	case bool:
		return lua.LBool(known)
	case string:
		return lua.LString(known)
	case int64:
		return lua.LNumber(known)
	case float64:
		return lua.LNumber(known)
	case []any:
		table := state.NewTable()
		for _, item := range known {
			table.Append(toLua(state, item))
		}
		return table
	case map[string]any:
		table := state.NewTable()
		for key, item := range known {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	}
	return lua.LNil
}

func fromLua(value lua.LValue) any {
	switch known := value.(type) {
	case lua.LBool:
		return bool(known)
	case lua.LString:
		return string(known)
	case lua.LNumber:
		if whole := int64(known); lua.LNumber(whole) == known {
			return whole
		}
		return float64(known)
	case *lua.LTable:
		if known.Len() > 0 {
			return list(known)
		}
		table := map[string]any{}
		known.ForEach(func(key, item lua.LValue) { table[key.String()] = fromLua(item) })
		if len(table) == 0 {
			return []any{}
		}
		return table
	}
	return nil
}

func list(table *lua.LTable) []any {
	items := []any{}
	table.ForEach(func(_, item lua.LValue) { items = append(items, fromLua(item)) })
	return items
}
