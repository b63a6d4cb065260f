CLASS ltcl_json DEFINITION FINAL FOR TESTING RISK LEVEL HARMLESS DURATION SHORT.

  PRIVATE SECTION.
    METHODS values_by_path FOR TESTING.
    METHODS null_is_there_and_empty FOR TESTING.
    METHODS escapes FOR TESTING.
    METHODS malformed_has_no_values FOR TESTING.
    METHODS limits FOR TESTING.

    METHODS read
      IMPORTING
        document    TYPE string
      RETURNING
        VALUE(json) TYPE REF TO zcl_tkw_json.

    METHODS malformed
      IMPORTING
        document TYPE string.
ENDCLASS.


CLASS ltcl_json IMPLEMENTATION.

  METHOD read.
    CREATE OBJECT json
      EXPORTING
        document = document.
  ENDMETHOD.

  METHOD malformed.
    DATA json TYPE REF TO zcl_tkw_json.

    json = read( document ).
    cl_abap_unit_assert=>assert_false( act = json->is_valid( )
                                       msg = document ).
    cl_abap_unit_assert=>assert_false( act = json->has( `/a` )
                                       msg = document ).
  ENDMETHOD.

  METHOD values_by_path.
    DATA json TYPE REF TO zcl_tkw_json.

    json = read( ` { "a" : "x" , "b":[1,{"c":true},-2.5e3], "d":{}, "e":[] } ` ).
    cl_abap_unit_assert=>assert_true( json->is_valid( ) ).
    cl_abap_unit_assert=>assert_equals( act = json->text( `/a` )
                                        exp = `x` ).
    cl_abap_unit_assert=>assert_equals( act = json->text( `/b/1` )
                                        exp = `1` ).
    cl_abap_unit_assert=>assert_equals( act = json->text( `/b/2/c` )
                                        exp = `true` ).
    cl_abap_unit_assert=>assert_equals( act = json->text( `/b/3` )
                                        exp = `-2.5e3` ).
    cl_abap_unit_assert=>assert_initial( json->text( `/nothing` ) ).
  ENDMETHOD.

  METHOD null_is_there_and_empty.
    DATA json TYPE REF TO zcl_tkw_json.

    json = read( `{"a":null}` ).
    cl_abap_unit_assert=>assert_true( json->has( `/a` ) ).
    cl_abap_unit_assert=>assert_initial( json->text( `/a` ) ).
    cl_abap_unit_assert=>assert_false( json->has( `/b` ) ).
  ENDMETHOD.

  METHOD escapes.
    cl_abap_unit_assert=>assert_equals( act = read( `{"a":"\"\\\/"}` )->text( `/a` )
                                        exp = `"\/` ).
    cl_abap_unit_assert=>assert_equals( act = read( `{"a":"x\u00e4y\nz"}` )->text( `/a` )
                                        exp = `x?y z` ).
  ENDMETHOD.

  METHOD malformed_has_no_values.
    malformed( `` ).
    malformed( `{` ).
    malformed( `{"a":"x"` ).
    malformed( `{"a":"x"}}` ).
    malformed( `{"a":"x",}` ).
    malformed( `{"a":"x" "b":1}` ).
    malformed( `{"a":"x` ).
    malformed( `{"a":"\q"}` ).
    malformed( `{"a":"\u12"}` ).
    malformed( `{"a":"\u12xy"}` ).
    malformed( `{"a":01}` ).
    malformed( `{"a":yes}` ).
    malformed( `{a:1}` ).
    malformed( `{"a":1,"a":2}` ).
    malformed( `<html>` ).
  ENDMETHOD.

  METHOD limits.
    DATA blanks TYPE string.

    malformed( `[[[[[[[[[1]]]]]]]]]` ).
    blanks = repeat( val = ` `
                     occ = zcl_tkw_json=>c_longest ).
    malformed( |\{"a":1\}{ blanks }| ).
  ENDMETHOD.

ENDCLASS.
