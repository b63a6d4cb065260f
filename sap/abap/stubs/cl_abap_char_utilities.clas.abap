CLASS cl_abap_char_utilities DEFINITION PUBLIC FINAL CREATE PRIVATE.
  PUBLIC SECTION.
    CLASS-DATA newline TYPE c LENGTH 1 READ-ONLY.
    CLASS-DATA horizontal_tab TYPE c LENGTH 1 READ-ONLY.
    CLASS-DATA cr_lf TYPE c LENGTH 2 READ-ONLY.
    CLASS-METHODS class_constructor.
ENDCLASS.

CLASS cl_abap_char_utilities IMPLEMENTATION.
  METHOD class_constructor.
    newline = |\n|.
    horizontal_tab = |\t|.
    cr_lf = |\r\n|.
  ENDMETHOD.
ENDCLASS.
