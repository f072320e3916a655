// helm-template renders a chart where there is no helm: the same engine (Go's text/template), the same function library
// (Sprig) and the same conventions as `helm template`. It is for deploy/check alone and knows only what our chart uses:
// no dependencies, no `tpl`, no `lookup`, no `.Files`. What it does not know fails, so that it cannot pass unseen.
//
//	helm-template CHART RELEASE NAMESPACE OUT [VALUES]...
//
// Writes each rendered template to OUT under its own name. Values files go over the chart's values.yaml in order; as with
// helm, maps are merged and a null removes a key. values.schema.json is checked by the caller.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"gopkg.in/yaml.v3"
)

func main() {
	if len(os.Args) < 5 {
		fmt.Fprintln(os.Stderr, "usage: helm-template CHART RELEASE NAMESPACE OUT [VALUES]...")
		os.Exit(2)
	}
	if err := render(os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5:]); err != nil {
		fmt.Fprintln(os.Stderr, "helm-template:", err)
		os.Exit(1)
	}
}

func render(chart, release, namespace, out string, valuesFiles []string) error {
	metadata, err := read(filepath.Join(chart, "Chart.yaml"))
	if err != nil {
		return err
	}
	values, err := read(filepath.Join(chart, "values.yaml"))
	if err != nil {
		return err
	}
	for _, file := range valuesFiles {
		stronger, err := read(file)
		if err != nil {
			return err
		}
		merge(values, stronger)
	}
	root := template.New(chart).Option("missingkey=zero")
	root.Funcs(functions(root))
	files, err := filepath.Glob(filepath.Join(chart, "templates", "*"))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if _, err := root.New(filepath.Base(file)).Parse(string(text)); err != nil {
			return err
		}
	}
	data := map[string]any{
		"Values":  values,
		"Chart":   capitalised(metadata),
		"Release": map[string]any{"Name": release, "Namespace": namespace, "Service": "Helm", "Revision": 1},
	}
	for _, file := range files {
		name := filepath.Base(file)
		if strings.HasPrefix(name, "_") {
			continue
		}
		var rendered bytes.Buffer
		if err := root.ExecuteTemplate(&rendered, name, data); err != nil {
			return err
		}
		// What helm does with a missing key under missingkey=zero.
		text := strings.ReplaceAll(rendered.String(), "<no value>", "")
		if err := os.WriteFile(filepath.Join(out, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// functions is Sprig without the environment, and with what helm adds.
func functions(root *template.Template) template.FuncMap {
	all := sprig.TxtFuncMap()
	delete(all, "env")
	delete(all, "expandenv")
	all["include"] = func(name string, data any) (string, error) {
		var text strings.Builder
		err := root.ExecuteTemplate(&text, name, data)
		return text.String(), err
	}
	all["required"] = func(message string, value any) (any, error) {
		if text, isText := value.(string); value == nil || (isText && text == "") {
			return nil, fmt.Errorf("%s", message)
		}
		return value, nil
	}
	all["toYaml"] = toYAML
	return all
}

// Through JSON, as helm does it: sorted keys, and whole numbers without an exponent.
func toYAML(value any) (string, error) {
	asJSON, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	var plain any
	if err := yaml.Unmarshal(asJSON, &plain); err != nil {
		return "", err
	}
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := encoder.Encode(plain); err != nil {
		return "", err
	}
	return strings.TrimSuffix(text.String(), "\n"), nil
}

// read takes a YAML file through JSON, as helm does it: every number becomes a float64, with all that this implies for
// templates that print one.
func read(file string) (map[string]any, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var raw map[string]any
	if err := yaml.Unmarshal(text, &raw); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	asJSON, err := json.Marshal(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	values := map[string]any{}
	return values, json.Unmarshal(asJSON, &values)
}

func merge(values, stronger map[string]any) {
	for key, value := range stronger {
		below, isMap := values[key].(map[string]any)
		above, bothMaps := value.(map[string]any)
		switch {
		case value == nil:
			delete(values, key)
		case isMap && bothMaps:
			merge(below, above)
		default:
			values[key] = value
		}
	}
}

// .Chart has the keys of Chart.yaml with a capital: appVersion is .Chart.AppVersion.
func capitalised(metadata map[string]any) map[string]any {
	chart := map[string]any{}
	for key, value := range metadata {
		chart[strings.ToUpper(key[:1])+key[1:]] = value
	}
	return chart
}
