CLASS ltcl_tokenward DEFINITION FINAL FOR TESTING RISK LEVEL HARMLESS DURATION SHORT.

  PRIVATE SECTION.
    METHODS a_wall_is_not_curable FOR TESTING.
    METHODS anything_else_is FOR TESTING.
ENDCLASS.


CLASS ltcl_tokenward IMPLEMENTATION.

  METHOD a_wall_is_not_curable.
    cl_abap_unit_assert=>assert_false( zcl_tokenward=>is_curable( `{"errors":[{"error_code":"ENVIRONMENT_MISMATCH"}]}` ) ).
    cl_abap_unit_assert=>assert_false( zcl_tokenward=>is_curable( `{"errors":[{"error_code":"CLIENT_DELETED"}]}` ) ).
    cl_abap_unit_assert=>assert_false( zcl_tokenward=>is_curable( `{"errors":[{"error_code":"CLIENT_DISABLED"}]}` ) ).
  ENDMETHOD.

  METHOD anything_else_is.
    cl_abap_unit_assert=>assert_true( zcl_tokenward=>is_curable( `{"errors":[{"error_code":"TOKEN_SUPERSEDED"}]}` ) ).
    cl_abap_unit_assert=>assert_true( zcl_tokenward=>is_curable( `{"errors":[{"error_code":"ACCESS_TOKEN_UNKNOWN"}]}` ) ).
    cl_abap_unit_assert=>assert_true( zcl_tokenward=>is_curable( `<html>401</html>` ) ).
    cl_abap_unit_assert=>assert_true( zcl_tokenward=>is_curable( `` ) ).
  ENDMETHOD.

ENDCLASS.
