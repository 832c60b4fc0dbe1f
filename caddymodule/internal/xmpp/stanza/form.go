package stanza

// Form is a data form, XEP-0004: the first value of each field.
type Form map[string]string

// formIn returns the first form of the parent with that FORM_TYPE, or any form if the type is empty.
func formIn(parent *element, formType string) Form {
	for _, x := range parent.all(nsForm, "x") {
		form := make(Form)
		for _, field := range x.all(nsForm, "field") {
			name := field.attr("var")
			if _, twice := form[name]; twice || name == "" {
				continue
			}
			form[name] = ""
			if value := field.child(nsForm, "value"); value != nil {
				form[name] = string(value.text)
			}
		}
		if formType == "" || form["FORM_TYPE"] == formType {
			delete(form, "FORM_TYPE")
			return form
		}
	}
	return nil
}
